// What went wrong, in words, and what to do about it.

import {count} from './figures.js';

// {title, text, remedy, action}: action is 'retry', 'key', 'new', 'settings' or null.
export function explain(error) {
  const said = error.message ?? String(error);
  const is = (...codes) => codes.includes(error.code);
  if (is('unreachable')) {
    return {title: 'The server does not answer', text: 'No connection to the address this page came from.',
            remedy: 'See whether headgate serve still runs and the network is up, then try again.', action: 'retry'};
  }
  if (is('broken_stream')) {
    return {title: 'The answer was cut off', text: said, remedy: 'What had come is kept above. Try again for a whole one.', action: 'retry'};
  }
  if (error.status === 401) {
    return {title: 'This server wants an API key', text: said,
            remedy: 'Enter one; headgate keys create makes it on the server.', action: 'key'};
  }
  if (is('cross_origin')) {
    return {title: 'The server does not know this address', text: said, remedy: 'Open the page by the address that the server was told.', action: null};
  }
  if (error.status === 403) {
    return {title: 'The key may not do this', text: said, remedy: 'Use a key with the inference scope.', action: 'key'};
  }
  if (is('context_length_exceeded')) {
    return {title: 'The chat no longer fits', text: said,
            remedy: 'Start a new chat, or edit an earlier message to go on from there.', action: 'new'};
  }
  if (error.status === 404 || is('model_not_found')) {
    return {title: 'This model is not here', text: said, remedy: 'Choose another in the list above.', action: 'retry'};
  }
  if (error.status === 429 || error.status === 503) {
    const wait = error.retryAfter === null || error.retryAfter === undefined ? '' : ` The server asks for ${count(error.retryAfter)} s.`;
    return {title: 'The server is busy', text: said, remedy: `Wait a moment and try again.${wait}`, action: 'retry'};
  }
  if (error.status === 400 || error.status === 422) {
    return {title: 'The server refused the request', text: said,
            remedy: error.param ? `Look at ${error.param} in the settings.` : 'Look at the settings.', action: 'settings'};
  }
  if (error.status === 413) {
    return {title: 'The message is too large', text: said, remedy: 'Send less text at once.', action: null};
  }
  return {title: 'Something failed', text: said,
          remedy: error.requestId ? `Try again. The server's log has it as ${error.requestId}.` : 'Try again.', action: 'retry'};
}
