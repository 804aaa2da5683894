/* cases.js - the client module against a server and a clock that are the test's. One function, one promise. */
import { check, equal, id, outcome, settle, world } from "./fake.js";

const MIN = 60_000;

const cases = {
	// ---- coming back

	async backoff_has_jitter_and_a_cap({ backoff, random }) {
		Math.random = random; // the real one
		for (let n = 0; n < 2_000; n++) {
			equal(backoff(n, () => 0), 0);
			equal(backoff(n, () => 1), Math.min(30_000, 500 * 2 ** n), n);
		}
		const drawn = Array.from({ length: 4_000 }, () => backoff(3));
		check(drawn.every((ms) => ms >= 0 && ms < 4_000), "out of range");
		for (let part = 0; part < 4; part++) {
			const share = drawn.filter((ms) => ms >= part * 1_000 && ms < (part + 1) * 1_000).length;
			check(share > 800 && share < 1_200, `not even: ${share}`);
		}
	},

	async each_failure_waits_longer_up_to_a_cap(w) {
		const chat = w.make();
		await w.clock.advance(0);
		for (let n = 0; n < 9; n++) {
			w.last().end();
			const wait = Math.min(30_000, 500 * 2 ** n) / 2;
			equal(chat.of("state").at(-1), { event: "state", state: "waiting", code: 1006, reason: "", retryIn: wait });
			const dials = w.sockets.length;
			await w.clock.advance(wait - 1);
			equal(w.sockets.length, dials, "too early");
			await w.clock.advance(1);
			equal(w.sockets.length, dials + 1, "redialed");
		}
	},

	async ten_open_seconds_begin_the_backoff_anew(w) {
		const [chat] = await w.open();
		for (let n = 0; n < 4; n++) { w.last().end(); await w.redial(); }
		w.last().ready();
		await w.clock.advance(9_000);
		w.last().end();
		check(chat.of("state").at(-1).retryIn > 1_000, "too early anew");
		(await w.redial()).ready();
		await w.clock.advance(10_000);
		w.last().end();
		equal(chat.of("state").at(-1).retryIn, 250);
	},

	async codes_that_mean_come_back(w) {
		await w.open();
		for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4001, 4003]) {
			w.last().end(code, "why");
			(await w.redial()).ready();
		}
	},

	async restarts_and_overload_get_a_second_at_least(w) {
		const [chat] = await w.open();
		for (const code of [1012, 1013]) {
			w.last().end(code);
			check(chat.of("state").at(-1).retryIn > 1_000, "less than a second");
			(await w.redial()).ready();
			await w.clock.advance(11_000);
		}
	},

	async codes_that_mean_stay_away(w) {
		for (const code of [4100, 4101, 4102, 4103, 4104]) {
			const [chat, socket] = await w.open();
			socket.end(code, "why");
			equal(chat.of("state").at(-1), { event: "state", state: "refused", code, reason: "why" });
			const dials = w.sockets.length;
			window.dispatchEvent(new Event("online"));
			await w.clock.advance(10 * MIN);
			equal(w.sockets.length, dials, `redialed after ${code}`);
			chat.connect();
			await w.clock.advance(0);
			equal(w.sockets.length, dials + 1, "connect() dials");
			chat.close();
		}
	},

	async codes_of_a_bug_at_most_five_times_in_a_row(w) {
		const [chat] = await w.open();
		for (const code of [1002, 1003, 1007, 1009, 1002]) { w.last().end(code); await w.redial(); w.last().ready(); }
		w.last().end(1006); // something else in between
		(await w.redial()).ready();
		for (let n = 0; n < 5; n++) { w.last().end(1002); (await w.redial()).ready(); }
		w.last().end(1002);
		equal(chat.state, "refused");
	},

	async the_token_is_asked_for_before_each_dial(w) {
		let n = 0;
		const [chat, socket] = await w.open({ token: async () => "t" + ++n });
		equal(socket.protocols, ["bearer", "t1"]);
		socket.end(4002, "expired");
		equal((await w.redial()).protocols, ["bearer", "t2"]);
		w.last().ready();
		const renewed = outcome(chat.renew("t9"));
		await settle();
		const frame = w.last().sent.at(-1);
		equal([frame.type, frame.token], ["token", "t9"]);
		w.last().say({ type: "ack", ref: frame.ref });
		await settle();
		check(renewed.ok, "renew was answered");
		w.last().end();
		equal((await w.redial()).protocols, ["bearer", "t9"]);
	},

	async a_token_that_expired_is_not_shown_again(w) {
		const [chat, socket] = await w.open({ token: "t" });
		socket.end(4002, "expired");
		equal(chat.state, "refused");
		await chat.renew("u");
		chat.connect();
		await settle();
		equal(w.last().protocols, ["bearer", "u"]);
	},

	async a_token_that_cannot_be_got_is_tried_again(w) {
		let n = 0;
		const chat = w.make({ token: () => { if (++n < 3) throw new Error("offline"); return "t"; } });
		await w.clock.advance(0);
		equal([chat.state, w.sockets.length], ["waiting", 0]);
		await w.clock.advance(5_000);
		equal([chat.state, w.sockets.length], ["connecting", 1]);
	},

	async an_address_that_can_never_be_right_is_refused(w) {
		const chat = w.make({ WebSocket: class { constructor() { throw new SyntaxError("no"); } } });
		await w.clock.advance(0);
		equal(chat.state, "refused");
		check(chat.of("state").at(-1).reason.includes("no"), "the reason is told");
	},

	async no_ready_frame_in_twenty_seconds(w) {
		const chat = w.make();
		await w.clock.advance(19_900);
		equal([chat.state, w.sockets.length], ["connecting", 1]);
		await w.clock.advance(200);
		check(w.sockets[0].closed, "hung up");
		await w.redial();
	},

	async online_again_dials_at_once_but_once_a_second(w) {
		const [, socket] = await w.open();
		for (let n = 0; n < 8; n++) { w.last().end(); await w.redial(); }
		w.last().end();
		await w.clock.advance(1_000);
		const dials = w.sockets.length;
		window.dispatchEvent(new Event("online"));
		await w.clock.advance(1);
		equal(w.sockets.length, dials + 1, "at once");
		w.last().end();
		for (let n = 0; n < 30; n++) { window.dispatchEvent(new Event("online")); await w.clock.advance(10); }
		equal(w.sockets.length, dials + 1, "not more often than once a second");
		await w.clock.advance(700);
		equal(w.sockets.length, dials + 2, "but then");
	},

	// ---- a connection that is dead and does not say so

	async pending_and_silent_for_ten_seconds(w) {
		const [chat, socket] = await w.open({ since: id(1) });
		await w.clock.advance(20_000);
		void chat.send({ message: "hi" }).catch(() => {});
		await w.clock.advance(9_900);
		check(!socket.closed, "too early");
		await w.clock.advance(200);
		check(socket.closed && chat.state !== "open", "given up");
		(await w.redial()).ready();
		equal(w.last().messages.length, 1, "sent again");
	},

	async slow_answers_are_waited_for_while_there_is_life(w) {
		const [chat, socket] = await w.open();
		void chat.send({ message: "hi" }).catch(() => {});
		for (let t = 0; t < 60; t++) {
			await w.clock.advance(1_000);
			const probe = socket.sent.findLast((f) => f.type === "join");
			if (probe && !probe.answered) { probe.answered = true; socket.say({ type: "ack", ref: probe.ref }); }
		}
		equal([socket.closed, w.sockets.length], [false, 1]);
		equal(socket.messages.length, 1, "not sent again");
	},

	async a_silent_reader_asks_for_a_sign_of_life(w) {
		const [, socket] = await w.open();
		socket.say({ type: "history", messages: [], complete: true, ref: socket.sent[0].ref });
		await w.clock.advance(44_900);
		equal(socket.said.length, 0);
		await w.clock.advance(200);
		equal([socket.said.length, socket.said[0].type, socket.said[0].room], [1, "join", "general"]);
		socket.say({ type: "ack", ref: socket.said[0].ref });
		await w.clock.advance(46_000);
		equal(socket.said.length, 2, "again");
		await w.clock.advance(11_000);
		check(socket.closed, "no answer: given up");
	},

	async seen_again_it_asks_at_once(w) {
		const [, socket] = await w.open();
		socket.say({ type: "history", messages: [], complete: true, ref: socket.sent[0].ref });
		await w.clock.advance(5_000);
		window.dispatchEvent(new Event("online"));
		equal(socket.said.length, 1);
		await w.clock.advance(10_100);
		check(socket.closed, "given up");
	},

	// ---- sending

	async a_message_is_sent_again_with_the_same_ref_until_answered(w) {
		const [chat, first] = await w.open();
		const sent = outcome(chat.send({ message: "hi" }));
		equal(first.messages.map(({ message, room }) => [message, room]), [["hi", "general"]]);
		const { ref } = first.messages[0];
		check(typeof ref === "string" && ref.length >= 16 && ref.length <= 64, "a ref");
		for (let n = 0; n < 3; n++) {
			w.last().end();
			const socket = await w.redial();
			equal(socket.messages.length, 0, "not before it is in its rooms");
			socket.ready();
			equal(socket.messages.map((f) => f.ref), [ref]);
		}
		equal([sent.ok, chat.pending], [undefined, 1]);
		w.last().ack({ ref }, 7);
		await settle();
		equal(sent.ok, { id: id(7), timestamp: "2026-11-22T14:07:31.482Z" });
		equal(chat.of("sent").map((s) => [s.ref, s.id, s.message, s.room]), [[ref, id(7), "hi", "general"]]);
		w.last().end();
		(await w.redial()).ready();
		equal([w.last().messages.length, chat.pending], [0, 0], "not once it is answered");
	},

	async one_at_a_time_to_each_place_in_order(w) {
		const [chat, socket] = await w.open({ rooms: ["general", "other"] });
		for (const n of [1, 2, 3]) void chat.send({ message: "g" + n }).catch(() => {});
		void chat.send({ message: "o1", room: "other" }).catch(() => {});
		void chat.send({ message: "d1", to: "bob@x.org" }).catch(() => {});
		equal(socket.messages.map((f) => f.message), ["g1", "o1", "d1"]);
		socket.ack(socket.messages[0], 1);
		equal(socket.messages.map((f) => f.message), ["g1", "o1", "d1", "g2"]);
		socket.end();
		(await w.redial()).ready();
		equal(w.last().messages.map((f) => f.message), ["g2", "o1", "d1"]);
		w.last().ack(w.last().messages[0], 2);
		equal(w.last().messages.map((f) => f.message), ["g2", "o1", "d1", "g3"]);
	},

	async nothing_is_sent_before_it_is_in_its_rooms(w) {
		const chat = w.make();
		await w.clock.advance(0);
		for (const asked of [chat.send({ message: "x" }), chat.history({ limit: 5 }), chat.join("y")]) outcome(asked);
		chat.typing();
		equal([chat.state, w.last().sent], ["connecting", []]);
		w.last().ready();
		equal(w.last().said.map((f) => f.type ?? f.message), ["x", "history", "join"]);
	},

	async written_before_the_room_is_known(w) {
		const chat = w.make();
		const sent = [chat.send({ message: "a" }), chat.send({ message: "b" })].map(outcome);
		await w.clock.advance(0);
		w.last().ready(["lounge"]);
		void chat.send({ message: "c" }).catch(() => {});
		for (const n of [1, 2]) w.last().ack(w.last().messages.at(-1), n);
		await settle();
		equal([w.last().messages.map((f) => [f.message, f.room]), sent.map((s) => s.ok.id)],
			[[["a", "lounge"], ["b", "lounge"], ["c", "lounge"]], [id(1), id(2)]]);
	},

	async refused_for_good_tells_code_and_field_and_goes_on(w) {
		const [chat, socket] = await w.open();
		const bad = outcome(chat.send({ message: "" })), good = outcome(chat.send({ message: "x" }));
		socket.error(socket.messages[0], "empty_message", "message");
		await settle();
		equal([bad.code, bad.error.field, bad.error.message, bad.error instanceof w.ChatError],
			["empty_message", "message", "empty_message!", true]);
		socket.ack(socket.messages[1], 1);
		await settle();
		equal(good.ok.id, id(1));
		equal(chat.of("error"), [], "what has its own promise is no event");
		socket.say({ type: "error", code: "unknown_type", message: "?", sender: "System" });
		equal(chat.of("error").map((e) => e.code), ["unknown_type"]);
	},

	async refused_for_now_is_tried_again_in_order(w) {
		for (const code of ["rate_limited", "unavailable"]) {
			const [chat, socket] = await w.open();
			const sent = ["a", "b", "c"].map((message) => outcome(chat.send({ message })));
			socket.error(socket.messages[0], code);
			void chat.send({ message: "psst", to: "bob@x.org" }).catch(() => {});
			equal(socket.messages.length, 1, "no other goes before");
			await w.clock.advance(90);
			equal(socket.messages.length, 1, "not at once");
			await w.clock.advance(1_000);
			equal(socket.messages.map((f) => f.message), ["a", "a", "psst"]);
			equal(socket.messages[0].ref, socket.messages[1].ref, "the same ref");
			for (const n of [1, 3, 4]) socket.ack(socket.messages[n], n);
			await settle();
			equal(sent.map((s) => s.ok?.id), [id(1), id(3), id(4)]);
			equal(socket.messages.map((f) => f.message), ["a", "a", "psst", "b", "c"]);
			chat.close();
		}
	},

	async refused_for_now_too_often_fails(w) {
		const [chat, socket] = await w.open({ since: id(1) });
		const sent = outcome(chat.send({ message: "a" }));
		for (let n = 1; n <= 40 && !sent.code; n++) {
			equal(socket.messages.length, n);
			socket.error(socket.messages[n - 1], "rate_limited");
			for (let t = 0; t < 700 && socket.messages.length === n && !sent.code; t++) await w.clock.advance(50);
		}
		equal([sent.code, socket.messages.length], ["rate_limited", 9]);
	},

	async not_confirmed_in_time_is_not_sent_again(w) {
		const [chat, socket] = await w.open();
		const tried = outcome(chat.send({ message: "tried" }));
		const waiting = outcome(chat.send({ message: "never sent" }));
		socket.end();
		const began = w.clock.time;
		(await w.redial()).ready();
		equal(w.last().messages.map((f) => f.message), ["tried"]);
		const until = async (ms) => {
			while (w.clock.time - began < ms) {
				if (chat.state !== "waiting") w.last().end();
				await w.clock.advance(Math.min(1_000, ms - (w.clock.time - began)));
			}
		};
		await until(269_900);
		equal([tried.code, waiting.code], [undefined, undefined], "too early");
		await until(270_100);
		equal([tried.code, waiting.code, chat.pending], ["unconfirmed", undefined, 1]);
		if (chat.state !== "connecting") await w.redial();
		w.last().ready();
		equal(w.last().messages.map((f) => f.message), ["never sent"]);
	},

	async a_refusal_for_now_begins_that_time_anew(w) {
		const [chat, socket] = await w.open();
		const sent = outcome(chat.send({ message: "a" }));
		const live = async (ms) => { for (let t = 0; t < ms; t += 1_000) { socket.message(t + 1_000 + w.clock.time); await w.clock.advance(1_000); } };
		await live(200_000);
		socket.error(socket.messages[0], "unavailable");
		await live(200_000);
		equal([sent.code, socket.messages.length], [undefined, 2]);
		await live(80_000);
		equal(sent.code, "unconfirmed");
	},

	async the_outbox_has_a_bound(w) {
		const chat = w.make({ connect: false });
		const many = Array.from({ length: 201 }, (_, n) => outcome(chat.send({ message: "m" + n })));
		await settle();
		equal([chat.pending, many[199].code, many[200].code], [200, undefined, "outbox_full"]);
		const other = w.make({ connect: false });
		const large = Array.from({ length: 5 }, () => outcome(other.send({ message: "\u20ac".repeat(20_000) }))); // 60 KB each
		await settle();
		equal(large.map((s) => s.code), [undefined, undefined, undefined, undefined, "outbox_full"]);
		equal(other.pending, 4);
	},

	async too_large_for_the_server_does_not_come_again(w) {
		const [chat, socket] = await w.open();
		const large = outcome(chat.send({ message: "x".repeat(70_000) })), small = outcome(chat.send({ message: "s", to: "bob@x.org" }));
		equal(socket.messages.length, 2);
		socket.end(1009, "the message is too large");
		await settle();
		equal([large.code, small.code], ["too_long", undefined]);
		(await w.redial()).ready();
		equal(w.last().messages.map((f) => f.message), ["s"]);
	},

	async a_ref_of_ones_own(w) {
		const [chat, socket] = await w.open();
		void chat.send({ message: "a", ref: "mine" }).catch(() => {});
		equal(socket.messages[0].ref, "mine");
		const again = outcome(chat.send({ message: "b", ref: "mine" }));
		await settle();
		equal(again.code, "invalid_ref");
	},

	// ---- reading

	async each_id_once(w) {
		const [chat, socket] = await w.open();
		for (const n of [1, 2, 2, 1, 3]) socket.message(n);
		equal(chat.texts(), ["m1", "m2", "m3"]);
		socket.end();
		const next = await w.redial();
		next.ready();
		for (const n of [2, 3, 4]) next.message(n);
		next.recovered(3);
		next.message(5);
		equal(chat.texts(), ["m1", "m2", "m3", "m4", "m5"]);
		equal(chat.of("message").map((m) => m.replayed), [false, false, false, true, false]);
		equal(chat.of("recovered").map((r) => [r.room ?? "inbox", r.complete, r.count]), [["general", true, 3], ["inbox", true, 3]]);
	},

	async what_is_known_has_a_bound_beyond_a_replay(w) {
		const [chat, socket] = await w.open();
		for (let n = 1; n <= 3_000; n++) socket.message(n);
		for (let n = 2_001; n <= 3_000; n++) socket.message(n);
		equal(chat.texts().length, 3_000, "the newest thousand are known");
		socket.message(1);
		equal(chat.texts().length, 3_001, "and not everything for ever");
	},

	async a_replay_of_many_rooms_that_is_cut_repeats_nothing(w) {
		const rooms = Array.from({ length: 32 }, (_, n) => "r" + n);
		const [chat, socket] = await w.open({ rooms, since: id(1) });
		const give = (s) => rooms.forEach((room, r) => { for (let n = 0; n < 1_000; n++) s.message(10 + r * 1_000 + n, room); });
		give(socket);
		socket.end();
		const next = await w.redial();
		equal(next.query.since, id(1), "the same since");
		next.ready();
		give(next);
		next.recovered(1_000);
		equal(chat.of("message").length, 32_000);
	},

	async since_is_the_oldest_of_the_newest_of_each_place(w) {
		const [, socket] = await w.open({ rooms: ["a", "b"] });
		equal(socket.query.since, undefined);
		socket.message(1, "a"); socket.message(2, "inbox"); socket.message(3, "b"); socket.message(4, "a"); socket.message(5, "a");
		socket.end();
		equal((await w.redial()).query, { events: "presence,typing", room: "a,b", since: id(2) });
	},

	async since_where_a_place_has_been_silent(w) {
		const [, socket] = await w.open({ rooms: ["a"] });
		const speak = async (from, to) => { for (let n = from; n <= to; n++) { socket.message(n, "a"); await w.clock.advance(1_000); } };
		await speak(10, 12);
		socket.end();
		const second = await w.redial();
		equal(second.query.since, id(10), "the first that was ever seen");
		second.ready();
		second.recovered(2);
		for (let n = 13; n <= 30; n++) { second.message(n, "a"); await w.clock.advance(1_000); }
		second.end();
		const { since } = (await w.redial()).query;
		check(since >= id(23) && since <= id(25), `five seconds before the end: ${since}`);
	},

	async since_counts_only_time_in_which_there_was_life(w) {
		const [, socket] = await w.open({ rooms: ["a"], since: id(1) });
		socket.recovered();
		socket.message(8, "a");
		await w.clock.advance(1_000);
		socket.message(10, "a");
		await w.clock.advance(30_000); // the server stands still, with 9 for the inbox in its hands
		socket.message(11, "a");
		socket.end();
		equal((await w.redial()).query.since, id(1));
	},

	async acks_are_no_mark_of_a_place(w) {
		const [chat, socket] = await w.open({ rooms: ["a"] });
		socket.message(10, "a"); socket.message(11, "inbox"); socket.message(12, "a");
		void chat.send({ message: "mine" });
		socket.ack(socket.messages[0], 20); // 13 to 19 may be on their way
		socket.message(21, "inbox");
		socket.end();
		const next = await w.redial();
		equal(next.query.since, id(12));
		next.ready();
		next.message(20, "a", "alice@x.org"); // the replay has it
		next.message(13, "a");
		next.recovered(2);
		equal(chat.texts(), ["m10", "m11", "m12", "m21", "m13"], "one's own is known");
	},

	async acks_move_the_floor(w) {
		const [chat, socket] = await w.open({ rooms: ["a"] });
		for (let n = 10; n < 40; n++) {
			void chat.send({ message: "mine" });
			socket.ack(socket.messages.at(-1), n);
			await w.clock.advance(1_000);
		}
		socket.end();
		const { since } = (await w.redial()).query;
		check(since >= id(32) && since <= id(35), since);
	},

	async a_late_message_is_no_mark(w) {
		const [, socket] = await w.open({ rooms: ["a", "b"] });
		socket.message(1, "a"); socket.message(2, "inbox"); socket.message(3, "b"); socket.message(10, "b");
		socket.message(9, "inbox"); socket.message(8, "a"); // QoS 2, released now: what is between may be on its way
		socket.message(11, "b");
		socket.end();
		equal((await w.redial()).query.since, id(1));
	},

	async a_later_client_goes_on_where_this_one_was(w) {
		const [chat, socket] = await w.open({ rooms: ["a"] });
		equal(chat.since, undefined);
		socket.message(1, "a"); socket.message(2, "inbox"); socket.message(3, "a");
		equal(chat.since, id(2));
		const [later, next] = await w.open({ rooms: ["a"], since: chat.since });
		equal([next.query.since, later.since], [id(2), id(2)]);
		next.message(3, "a");
		equal(later.since, id(2), "not while the replay runs");
	},

	async a_replay_that_is_cut_moves_nothing(w) {
		const [chat, socket] = await w.open({ rooms: ["a"], since: id(5) });
		equal(socket.query.since, id(5));
		socket.message(6, "a"); socket.message(7, "a");
		socket.say({ type: "recovered", room: "a", complete: true, count: 2 });
		for (let n = 8; n < 20; n++) { socket.message(n, "a"); await w.clock.advance(1_000); }
		socket.message(25, "inbox"); // within the replay of the inbox, which has not ended
		socket.end();
		const next = await w.redial();
		equal(next.query.since, id(5));
		next.ready();
		next.recovered();
		for (const n of [30, 31]) next.message(n, n === 30 ? "a" : "inbox");
		next.end();
		equal((await w.redial()).query.since, id(30));
		equal(chat.texts().length, 17);
	},

	async before_any_message_there_is_a_place_to_come_back_to(w) {
		const [, socket] = await w.open();
		equal(socket.sent.map((f) => [f.type, f.room, f.limit]), [["history", "general", 1]]);
		socket.say({ type: "history", room: "general", complete: false, ref: socket.sent[0].ref, messages: [{ id: id(3), sender: "b", message: "x" }] });
		await settle();
		socket.end();
		equal((await w.redial()).query.since, id(3));
	},

	async before_any_message_in_an_empty_room(w) {
		const [chat, socket] = await w.open();
		socket.say({ type: "history", room: "general", complete: true, ref: socket.sent[0].ref, messages: [] });
		await settle();
		socket.end();
		const { since } = (await w.redial()).query;
		check(/^0[0-9A-HJKMNP-TV-Z]{9}0{16}$/.test(since), `an id: ${since}`);
		w.last().ready();
		w.last().recovered(3, false);
		equal(chat.of("recovered").map((r) => r.complete), [true, true], "the server cannot know that id");
	},

	async without_history_there_is_no_since_before_the_first_message(w) {
		const [, socket] = await w.open();
		socket.error(socket.sent[0], "unavailable");
		await settle();
		socket.end();
		const next = await w.redial();
		equal(next.query.since, undefined);
		next.ready();
		next.message(4);
		next.end();
		equal((await w.redial()).query.since, id(4));
		w.last().ready();
		w.last().recovered(0, false);
	},

	async with_echo_ones_own_come_as_messages(w) {
		const [chat, socket] = await w.open({ echo: true });
		equal(socket.query.echo, "1");
		void chat.send({ message: "mine" });
		socket.ack(socket.messages[0], 5);
		socket.message(5, "general", "alice@x.org");
		equal(chat.of("message").map((m) => [m.message, m.own]), [["m5", true]]);
	},

	async ones_own_from_elsewhere_are_marked(w) {
		const [chat, socket] = await w.open();
		socket.message(5, "general", "alice@x.org");
		socket.message(6, "general");
		equal(chat.of("message").map((m) => m.own), [true, false]);
	},

	// ---- pages of history

	async pages(w) {
		const [chat, socket] = await w.open({ since: id(1) });
		const page = outcome(chat.history({ with: "bob@x.org", before: id(9), limit: 20 }));
		const [{ ref, ...asked }] = socket.said;
		equal(asked, { with: "bob@x.org", before: id(9), limit: 20, type: "history" });
		socket.say({ type: "history", with: "bob@x.org", complete: true, ref, messages: [{ id: id(2), sender: "alice@x.org", message: "x" }] });
		await settle();
		equal(page.ok, { messages: [{ id: id(2), sender: "alice@x.org", message: "x", own: true }], complete: true });
		const refused = outcome(chat.history());
		socket.error(socket.said.at(-1), "unavailable");
		await settle();
		equal(refused.code, "unavailable");
	},

	async pages_four_at_a_time(w) {
		const [chat, socket] = await w.open({ since: id(1) });
		const pages = Array.from({ length: 7 }, () => outcome(chat.history()));
		equal(socket.said.length, 4);
		socket.say({ type: "history", room: "general", complete: true, ref: socket.said[0].ref, messages: [] });
		equal(socket.said.length, 5);
		await settle();
		equal(pages[0].ok.complete, true);
	},

	async pages_time_out_and_end_with_the_connection(w) {
		const [chat, socket] = await w.open({ since: id(1) });
		const lost = outcome(chat.history());
		socket.end();
		await settle();
		equal(lost.code, "disconnected");
		const later = outcome(chat.history());
		(await w.redial()).ready();
		equal(w.last().said.length, 1, "asked for while it was away: waits");
		for (let t = 0; t < 16; t++) { w.last().message(100 + t); await w.clock.advance(1_000); }
		equal(later.code, "timeout");
	},

	// ---- rooms

	async joined_and_left_rooms_outlive_the_connection(w) {
		const [chat, socket] = await w.open();
		const joined = outcome(chat.join("other"));
		equal(socket.said.map((f) => [f.type, f.room]), [["join", "other"]]);
		socket.say({ type: "ack", ref: socket.said[0].ref });
		await settle();
		check(joined.ok, "joined");
		equal(chat.rooms, ["general", "other"]);
		socket.end();
		equal((await w.redial()).query.room, "general,other");
		w.last().ready();
		const left = outcome(chat.leave("general"));
		w.last().say({ type: "ack", ref: w.last().said.at(-1).ref });
		await settle();
		check(left.ok, "left");
		w.last().end();
		equal((await w.redial()).query.room, "other");
	},

	async what_was_asked_last_counts(w) {
		const [chat, socket] = await w.open();
		socket.end();
		for (const what of [chat.join("x"), chat.leave("x"), chat.join("y"), chat.leave("general"), chat.join("general"), chat.join("z")]) outcome(what);
		const next = await w.redial();
		equal(new Set(next.query.room.split(",")), new Set(["y", "general", "z"]));
		next.ready();
		for (let n = 0; n < 10 && next.said.length > n; n++) next.say({ type: "ack", ref: next.said[n].ref });
		check(!next.said.some((f) => f.type === "leave" && f.room !== "x"), "nothing wanted is left: " + JSON.stringify(next.said));
		check(!next.said.some((f) => f.type === "join" && f.room === "x"), "nothing unwanted is joined");
		equal(chat.rooms.sort(), ["general", "y", "z"]);
	},

	async a_join_under_way_at_a_cut(w) {
		const [chat, socket] = await w.open();
		const joined = outcome(chat.join("other"));
		socket.end();
		const next = await w.redial();
		equal(next.query.room, "general,other");
		next.ready();
		next.say({ type: "ack", ref: next.said.find((f) => f.type === "join").ref });
		await settle();
		check(joined.ok, "joined");
	},

	async a_join_that_is_refused(w) {
		const [chat, socket] = await w.open();
		for (const bad of ["", "Über", "a b", "x".repeat(65)]) {
			const joined = outcome(chat.join(bad));
			await settle();
			equal(joined.code, "invalid_room", bad);
		}
		const joined = outcome(chat.join("closed"));
		socket.error(socket.said.at(-1), "not_allowed", "room");
		await settle();
		equal([joined.code, chat.rooms], ["not_allowed", ["general"]]);
		for (let n = 1; n < 32; n++) outcome(chat.join("r" + n));
		const full = outcome(chat.join("r32"));
		await settle();
		equal(full.code, "not_allowed");
	},

	async joined_before_the_first_connection(w) {
		const chat = w.make();
		outcome(chat.join("other"));
		await w.clock.advance(0);
		equal(w.last().query.room, undefined);
		w.last().ready(["general"]);
		equal(chat.rooms, ["general", "other"]);
		equal(w.last().said.map((f) => [f.type, f.room]), [["join", "other"]]);
	},

	async all_rooms_left(w) {
		const [chat, socket] = await w.open();
		outcome(chat.leave("general"));
		socket.say({ type: "ack", ref: socket.said[0].ref });
		socket.end();
		const next = await w.redial();
		equal(next.query.room, undefined);
		next.ready(["general"]);
		equal([chat.rooms, next.said.map((f) => [f.type, f.room])], [[], [["leave", "general"]]]);
	},

	// ---- the rest

	async typing_once_a_second_for_each_target(w) {
		const [chat, socket] = await w.open({ since: id(1) });
		for (let n = 0; n < 5; n++) { chat.typing(); chat.typing({ room: "other" }); chat.typing({ to: "bob@x.org" }); await w.clock.advance(100); }
		equal(socket.said, [{ type: "typing" }, { type: "typing", room: "other" }, { type: "typing", to: "bob@x.org" }]);
		await w.clock.advance(1_000);
		chat.typing();
		equal(socket.said.length, 4);
		socket.say({ type: "typing", sender: "bob@x.org", room: "general" });
		socket.say({ type: "typing", sender: "bob@x.org" });
		equal(chat.of("typing"), [{ event: "typing", sender: "bob@x.org", room: "general" }, { event: "typing", sender: "bob@x.org" }]);
		socket.end();
		chat.typing({ room: "new" }); // not kept for later
		(await w.redial()).ready();
		equal(w.last().said, []);
	},

	async presence_one_by_one(w) {
		const [chat, socket] = await w.open();
		const at = "2026-11-22T14:07:31.482Z";
		socket.say({ type: "presence", users: [{ user: "a@x.org", status: "online", timestamp: at }, { user: "b@x.org", status: "online", timestamp: at }] });
		socket.say({ type: "presence", user: "a@x.org", status: "offline", timestamp: at });
		equal(chat.of("presence").map((p) => [p.user, p.status]), [["a@x.org", "online"], ["b@x.org", "online"], ["a@x.org", "offline"]]);
		equal([...chat.online], [["b@x.org", { status: "online", timestamp: at }]]);
		socket.end();
		(await w.redial()).ready();
		equal([...chat.online], [], "who left meanwhile is not shown");
	},

	async events_that_were_not_asked_for(w) {
		const [chat, socket] = await w.open({ events: [] });
		equal(socket.query.events, "typing", "for the ready frame");
		socket.say({ type: "typing", sender: "bob@x.org", room: "general" });
		equal(chat.of("typing"), []);
	},

	async the_address(w) {
		w.make({ user: "o'x+y%/&?@x.org", url: "https://host.test/chat/", device: "phone" });
		await w.clock.advance(0);
		equal(w.last().url.href, "wss://host.test/chat/ws/o'x%2By%25%2F%26%3F%40x.org?events=presence%2Ctyping&device=phone");
		let thrown = "";
		try { new w.ChatClient({}); } catch (e) { thrown = e.name; }
		equal(thrown, "TypeError");
	},

	async close_leaves_nothing(w) {
		for (const moment of ["connecting", "open", "waiting", "refused"]) {
			const [chat, socket] = moment === "connecting" ? [w.make(), null] : await w.open();
			await w.clock.advance(0);
			const pending = [chat.send({ message: "x" }), chat.history(), chat.join("y")].map(outcome);
			if (moment === "waiting") socket.end();
			if (moment === "refused") socket.end(4104);
			chat.close();
			chat.close();
			await settle();
			equal([w.clock.timers.size, chat.state, w.last().closed || moment === "waiting" || moment === "refused"], [0, "closed", true], moment);
			check(pending.every((p) => p.code === "closed" || p.code === "disconnected"), moment + JSON.stringify(pending));
			const dials = w.sockets.length;
			window.dispatchEvent(new Event("online"));
			w.last().onmessage?.({ data: '{"type":"ready","user":"alice@x.org","rooms":["general"]}' });
			w.last().onclose?.({ code: 1006, reason: "" });
			await w.clock.advance(10 * MIN);
			equal([w.sockets.length, w.clock.timers.size, chat.state], [dials, 0, "closed"], moment);
			const late = outcome(chat.send({ message: "x" }));
			await settle();
			equal(late.code, "closed");
			let thrown = "";
			try { chat.connect(); } catch (e) { thrown = e.code; }
			equal(thrown, "closed");
		}
	},

	async close_listens_to_nothing_any_more(w) {
		const heard = [];
		for (const target of [window, document]) {
			target.addEventListener = (type, listener, options) => {
				EventTarget.prototype.addEventListener.call(target, type, () => heard.push(type), options);
			};
		}
		try {
			const [chat] = await w.open();
			const say = () => { window.dispatchEvent(new Event("online")); document.dispatchEvent(new Event("visibilitychange")); };
			say();
			equal(heard, ["online", "visibilitychange"]);
			chat.close();
			say();
			equal(heard.length, 2);
		} finally {
			for (const target of [window, document]) delete target.addEventListener;
		}
	},

	async close_from_within_an_event(w) {
		for (const event of ["state", "ready", "message", "sent"]) {
			const chat = w.make();
			chat.addEventListener(event, () => (event !== "state" || chat.state === "open") && chat.close());
			await w.clock.advance(0);
			const socket = w.last();
			void chat.send({ message: "x" }).catch(() => {});
			socket.ready();
			if (event === "message") socket.message(1);
			if (event === "sent") socket.ack(socket.messages[0], 1);
			await w.clock.advance(MIN);
			equal([chat.state, socket.closed, w.clock.timers.size], ["closed", true, 0], event);
		}
	},

	async several_in_one_page_know_nothing_of_each_other(w) {
		const [one, first] = await w.open({ user: "one@x.org" });
		const [two, second] = await w.open({ user: "two@x.org" });
		first.message(1);
		second.message(1);
		equal([one.texts(), two.texts()], [["m1"], ["m1"]]);
		void one.send({ message: "x" });
		equal([one.pending, two.pending, second.messages.length], [1, 0, 0]);
		const sent = outcome(one.send({ message: "x" }));
		one.close();
		second.message(2);
		equal([two.state, two.texts()], ["open", ["m1", "m2"]]);
	},

	async states_in_order(w) {
		const chat = w.make({ connect: false });
		equal(chat.state, "idle");
		await w.clock.advance(MIN);
		equal(w.sockets.length, 0);
		chat.connect();
		await settle();
		chat.connect(); // is on its way
		equal(w.sockets.length, 1);
		w.last().ready();
		w.last().end(1001, "shutdown");
		chat.connect(); // now, please
		await settle();
		equal(w.sockets.length, 2);
		w.last().ready();
		equal(chat.of("state").map((s) => s.state), ["connecting", "open", "waiting", "connecting", "open"]);
	},

	async time_that_runs_backwards_or_stands_still(w) {
		const [chat, socket] = await w.open();
		const sent = outcome(chat.send({ message: "x" }));
		socket.end();
		const { now } = globalThis.fakeClock.Date;
		globalThis.fakeClock.Date.now = () => now() - 3_600_000; // somebody sets the clock back
		await w.redial();
		equal(chat.state, "connecting");
		globalThis.fakeClock.Date.now = () => now() + 600_000; // the machine slept
		w.last().end();
		await w.clock.advance(40_000);
		equal(sent.code, "unconfirmed");
	},
};

window.names = Object.keys(cases);
window.runCase = async (name) => {
	const w = await world({ random: 0.5 });
	try {
		await cases[name](w);
	} finally {
		w.end();
	}
};
window.loaded = true;
