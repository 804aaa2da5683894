/** Elements: made of text nodes, never of markup. */

export const $ = (id) => document.getElementById(id);

/** `data`: its data-attributes. */
export function el(tag, { data, ...properties } = {}, ...children) {
	const made = Object.assign(document.createElement(tag), properties);
	Object.assign(made.dataset, data);
	made.append(...children);
	return made;
}

/** Makes `nodes` the children of `parent`; what stays is not moved, so that it keeps the focus. */
export function fill(parent, nodes) {
	const wanted = new Set(nodes);
	for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
	let at = parent.firstChild;
	for (const node of nodes) node === at ? (at = at.nextSibling) : parent.insertBefore(node, at);
}

/** `action` after `pause` ms, once for all calls until then. */
export function soon(action, pause = 16) {
	let timer = 0;
	return () => (timer ||= setTimeout(() => ((timer = 0), action()), pause));
}

/** For storage, which may be full or forbidden. */
export function attempt(action) {
	try {
		return action();
	} catch {}
}
