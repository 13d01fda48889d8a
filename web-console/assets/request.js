// One question to the API. An answer that is no success is an error with the broker's own words.

/** The answer's JSON, or `null` where there is none. */
export async function ask(path, query = {}) {
  return answer(await fetch(`/api/v1/${path}?${new URLSearchParams(query)}`, { cache: "no-store" }));
}

/** Asks for something to be done. */
export async function order(method, path, body) {
  const content = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return answer(await fetch(`/api/v1/${path}`, { method, ...content }));
}

/** What went wrong, as a sentence. */
export function complaint(error) {
  const text = error instanceof Refused ? error.message : "The console cannot be reached";
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

class Refused extends Error {}

async function answer(response) {
  const text = await response.text();
  if (response.ok) return text === "" ? null : JSON.parse(text);
  let message = `the console answered with status ${response.status}`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // Not from the console: what stands between has no words for us.
  }
  throw new Refused(message);
}
