// The sheet over the page: one destination, with its messages and its policy.

import { element } from "/element.js";
import { visible } from "/format.js";
import { Messages } from "/messages.js";
import { policyView } from "/policy.js";
import { complaint } from "/request.js";

const byId = (id) => document.getElementById(id);

/** A dialog that shows one destination at a time. */
export class Sheet {
  #dialog = byId("sheet");
  #kind = "queue";
  #name = "";
  #depth = () => 0;

  constructor() {
    byId("sheet-close").addEventListener("click", () => this.#dialog.close());
    byId("sheet-messages").addEventListener("click", () => this.#select("messages"));
    byId("sheet-policy").addEventListener("click", () => this.#select("policy"));
    // A click beside it is for the page.
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("close", () => byId("sheet-content").replaceChildren());
  }

  /** Opens it for a destination; `kind` is `queue` or `topic`, `depth()` how many messages it holds. */
  open(kind, name, depth) {
    this.#kind = kind;
    this.#name = name;
    this.#depth = depth;
    byId("sheet-kind").textContent = kind === "queue" ? "Queue" : "Topic";
    byId("sheet-name").textContent = visible(name);
    byId("sheet-messages").hidden = kind !== "queue";
    this.#dialog.showModal();
    this.#select(kind === "queue" ? "messages" : "policy");
  }

  async #select(part) {
    for (const other of ["messages", "policy"]) byId(`sheet-${other}`).setAttribute("aria-pressed", String(other === part));
    const content = byId("sheet-content");
    const host = element("div", {}, element("p", { className: "quiet" }, "Loading…"));
    content.replaceChildren(host);
    content.scrollTop = 0;
    if (part === "messages") return new Messages(host, this.#name, this.#depth).load();
    try {
      host.replaceChildren(await policyView(this.#kind, this.#name));
    } catch (error) {
      host.replaceChildren(element("p", { className: "note bad" }, complaint(error)));
    }
  }
}
