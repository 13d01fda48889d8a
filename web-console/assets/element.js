// Elements made in one call. Text is only ever text.

/** An element with properties and children; children are elements or strings. */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

/** A button that does something when it is pressed. */
export function button(label, act, properties = {}) {
  const node = element("button", { type: "button", ...properties }, label);
  node.addEventListener("click", act);
  return node;
}
