// The dialog that asks for the token: a page that imports this has one.

import { hooks, token } from "./api.js";
import { h } from "./dom.js";

const wrong = h("p.bad", { id: "token-wrong", role: "alert" });
const input = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true });
const dialog = h("dialog", { id: "token-dialog", "aria-labelledby": "token-title", oncancel: (event) => event.preventDefault() },
  h("form", { method: "dialog" },
    h("h2", { id: "token-title" }, "Token"),
    h("p", {}, "This controller asks for a token (option ", h("code", {}, "api_token_file"), "). It is kept in this tab only, until the tab is closed."),
    wrong,
    h("label", {}, "Token ", input),
    h("p.buttons", {}, h("button", { type: "submit" }, "Use it"))));
document.body.append(dialog);

/** Ask for the token until there is one. */
hooks.askToken = (reason) => new Promise((done) => {
  wrong.textContent = reason;
  input.value = "";
  dialog.addEventListener("close", () => {
    token.set(input.value.trim());
    done();
  }, { once: true });
  dialog.showModal();
});
