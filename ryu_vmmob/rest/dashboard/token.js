// The dialog that asks for the token, on every page that has one.

import { hooks, token } from "./api.js";

const at = (id) => document.getElementById(id);

/** Ask for the token until there is one. */
hooks.askToken = (wrong) => new Promise((done) => {
  const dialog = at("token-dialog");
  at("token-wrong").textContent = wrong;
  at("token").value = "";
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.addEventListener("close", () => {
    token.set(at("token").value.trim());
    done();
  }, { once: true });
  dialog.showModal();
});
