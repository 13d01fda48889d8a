// The policy of a destination: each key, its value, and what says so.

import { element } from "/element.js";
import { visible } from "/format.js";
import { ask } from "/request.js";

/** Asks for a policy and gives it as elements. */
export async function policyView(kind, name) {
  const policy = await ask("policy", { kind, name });
  const rows = policy.settings.map(({ key, value, from }) => element("tr", { className: from === "default" ? "" : "own" },
    element("th", { scope: "row" }, key),
    element("td", {}, element("bdi", {}, visible(value === "" ? "none" : String(value)))),
    element("td", {}, element("bdi", {}, visible(from)))));
  const heads = ["Key", "Value", "Says so"].map((label) => element("th", { scope: "col" }, label));
  return element("div", {},
    element("p", { className: "quiet" }, policy.declared ? "The configuration declares it." : "It was made by its first use."),
    element("table", { className: "plain" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)));
}
