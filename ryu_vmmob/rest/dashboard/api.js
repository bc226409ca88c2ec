// Calls to REST. The token is in sessionStorage and in the Authorization header, and nowhere else.

const KEY = "vmmob.token";
const SECONDS = 30;

/** What REST said no with, or that it said nothing (`status` 0). */
export class ApiError extends Error {
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

/** Asks for the token; set by token.js. Gets what was wrong with the last one, gives the token. */
export const hooks = { askToken: async () => "" };

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

let asking = null;

/** The body of the answer. Asks for a token when one is needed. Raises ApiError; statuses in `accept` are no errors. */
export async function call(method, path, body = undefined, { accept = [], seconds = SECONDS, headers: more = {} } = {}) {
  for (;;) {
    const used = token.get();
    const headers = { Accept: "application/json", ...more };
    if (used) headers.Authorization = `Bearer ${used}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
        signal: AbortSignal.timeout(seconds * 1000),
      });
    } catch {
      throw new ApiError(0, "the controller does not answer");
    }
    if (response.status === 401) {
      if (token.get() === used) {
        token.forget();
        asking ??= hooks.askToken(used ? "The controller does not know this token." : "").finally(() => { asking = null; });
      }
      if (asking) await asking;
      continue;
    }
    const text = await response.text();
    let answer = null;
    try {
      answer = text ? JSON.parse(text) : null;
    } catch {
      throw new ApiError(response.status, "the answer is no JSON");
    }
    if (!response.ok && !accept.includes(response.status)) {
      throw new ApiError(response.status, answer?.detail ?? answer?.title ?? `status ${response.status}`, answer?.errors ?? []);
    }
    return answer;
  }
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body = undefined, options) => call("POST", path, body, options);

/** A name as a part of a path. */
export const part = encodeURIComponent;
