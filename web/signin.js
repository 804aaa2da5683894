/** Who the reader is. The address is kept for the next visit (and for this tab: two tabs can be two people), a token for the tab. */
import { t } from "./text.js";
import { $, attempt } from "./dom.js";
import { address } from "./places.js";

const kept = "mosquitto-chat user", keptToken = "mosquitto-chat token";

export function remembered() {
	const user = address(attempt(() => sessionStorage[kept] ?? localStorage[kept]) ?? "");
	return user && { user, token: attempt(() => sessionStorage[keptToken]) };
}

export const forget = () => attempt(() => {
	delete localStorage[kept];
	sessionStorage.clear();
});

/** Shows the form until it is filled in; `wanted`: with a token, `error`: why. */
export function ask({ wanted = false, error = "" } = {}) {
	const field = $("address"), secret = $("token");
	const show = (form) => ($("signin").hidden = !($("app").hidden = form));
	const trouble = (text) => {
		$("signin-error").textContent = text;
		(wanted ? secret : field).focus();
	};
	secret.value = "";
	$("token-field").hidden = !wanted;
	show(true);
	trouble(error);
	return new Promise((resolve) => {
		$("signin-form").onsubmit = (event) => {
			event.preventDefault();
			const user = address(field.value), token = secret.value;
			if (!user) return trouble(t("user"));
			if (wanted && !token) return trouble(t("token"));
			attempt(() => {
				localStorage[kept] = sessionStorage[kept] = user;
				if (token) sessionStorage[keptToken] = token;
			});
			show(false);
			resolve({ user, token });
		};
	});
}
