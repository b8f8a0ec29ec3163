// Talks to the server the page came from, and to nobody else.

// web/js/api.js lies two folders below the root, also behind a proxy that adds a path.
export const ROOT = new URL('../..', import.meta.url);
const KEY = 'headgate.key';

// A failure with all that the server said about it. Status 0: no answer came at all.
export class ApiError extends Error {
  constructor(message, {status = 0, code = null, type = null, param = null, retryAfter = null, requestId = null} = {}) {
    super(message);
    Object.assign(this, {status, code, type, param, retryAfter, requestId});
  }
}

// The key lives as long as the tab, never longer.
export const apiKey = {
  get: () => { try { return sessionStorage.getItem(KEY) ?? ''; } catch { return ''; } },
  set: (value) => {
    try {
      if (value) sessionStorage.setItem(KEY, value);
      else sessionStorage.removeItem(KEY);
    } catch {
      // Then the key must be entered again after a reload.
    }
  },
};

function errorOf(body, status, headers) {
  const details = body && typeof body.error === 'object' && body.error !== null ? body.error : {};
  const message = details.message ?? (typeof body?.error === 'string' ? body.error : `The server answered with status ${status}`);
  const wait = Number(headers?.get('retry-after'));
  return new ApiError(String(message), {
    status, code: details.code ?? null, type: details.type ?? null, param: details.param ?? null,
    retryAfter: headers?.has('retry-after') && wait >= 0 ? wait : null, requestId: headers?.get('x-request-id') ?? null,
  });
}

async function send(path, {method = 'GET', body, signal} = {}) {
  const headers = {};
  const key = apiKey.get();
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  try {
    response = await fetch(new URL(path, ROOT), {
      method, headers, signal, credentials: 'same-origin', cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server cannot be reached.', {code: 'unreachable'});
  }
  if (!response.ok) {
    const text = await response.text().catch(() => '');
    let parsed = null;
    try { parsed = JSON.parse(text); } catch { /* not JSON: the status says enough */ }
    throw errorOf(parsed, response.status, response.headers);
  }
  return response;
}

export async function getJson(path, signal) {
  return (await send(path, {signal})).json();
}

// Events of a chat completion, as they come. Throws an ApiError for an error event and for a stream that ends too early.
export async function* chatStream(body, signal) {
  const response = await send('v1/chat/completions', {method: 'POST', body, signal});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let data = [];
  for (;;) {
    let read;
    try {
      read = await reader.read();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ApiError('The connection broke while the answer was coming.', {code: 'broken_stream'});
    }
    if (read.done) throw new ApiError('The answer ended before it was complete.', {code: 'broken_stream'});
    const lines = (rest + read.value).split('\n');
    rest = lines.pop();
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      if (line.startsWith('data:')) {
        data.push(line.slice(line[5] === ' ' ? 6 : 5));
      } else if (line === '' && data.length) {
        const text = data.join('\n');
        data = [];
        if (text === '[DONE]') return;
        const event = JSON.parse(text);
        if (event.error) throw errorOf(event, Number(event.error.status ?? event.error.code) || 500, response.headers);
        yield event;
      }
    }
  }
}
