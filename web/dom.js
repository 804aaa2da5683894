/** Elements: made of text nodes, never of markup, and left in place as long as they are wanted. */

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/** @param {string} tag @param {object} [properties] `data`: its data-attributes @param {...(Node|string)} children @returns {any} */
export function el(tag, { data, ...properties } = {}, ...children) {
	const made = Object.assign(document.createElement(tag), properties);
	Object.assign(made.dataset, data);
	made.append(...children);
	return made;
}

/** Makes `nodes` the children of `parent`; what stays is not moved, so that it keeps focus and selection. */
export function fill(parent, nodes) {
	const wanted = new Set(nodes);
	for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
	let at = parent.firstChild;
	for (const node of nodes) node === at ? (at = at.nextSibling) : parent.insertBefore(node, at);
}

/** @returns {() => void} does `action` after `pause` ms, once for all calls until then */
export function soon(action, pause = 16) {
	let timer = 0;
	return () => (timer ||= setTimeout(() => ((timer = 0), action()), pause));
}

/** For keydown of a list: the element that the arrow keys lead to, if any. @param {any[]} all */
export const arrowed = (all, { key, altKey }) => {
	const at = all.findIndex((one) => one.contains(document.activeElement));
	return altKey ? null : { ArrowUp: all.at(at < 0 ? -1 : Math.max(0, at - 1)), ArrowDown: all[at + 1] }[key];
};
