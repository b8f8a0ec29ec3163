// Numbers as people read them: counts, bytes, times, speeds.

const plain = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 1});

export const count = (n) => plain.format(Math.round(n));
export const compact = (n) => short.format(n).replace('K', 'k');
export const percent = (share) => `${Math.round(share * 100)} %`;

// 5.1 ms, 84 ms, 0.31 s, 4.2 s, 38 s, 2 min 5 s, 3 h 12 min
export function duration(seconds) {
  if (seconds < 0.1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (minutes < 60 * 48) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

export function speed(tokensPerSecond) {
  return `${tokensPerSecond < 10 ? tokensPerSecond.toFixed(1) : count(tokensPerSecond)} tok/s`;
}

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

// The day under which a chat is listed.
export function dayOf(time, now = Date.now()) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (time >= midnight) return 'Today';
  if (time >= midnight - 86400000) return 'Yesterday';
  if (time >= midnight - 7 * 86400000) return 'Last 7 days';
  return new Date(time).toLocaleDateString('en', {month: 'long', year: 'numeric'});
}

// What the line below an answer says: [text, explanation] pairs, of what is known only.
export function answerFigures(stats) {
  if (!stats) return [];
  const figures = [];
  const tokens = stats.outputTokens ?? stats.chunks;
  if (stats.speed) figures.push([speed(stats.speed), 'Tokens per second after the first token']);
  if (tokens) figures.push([`${count(tokens)} ${tokens === 1 ? 'token' : 'tokens'}`, 'Tokens written, thinking included']);
  if (stats.ttft !== undefined) figures.push([`first after ${duration(stats.ttft)}`, 'Time from sending to the first token']);
  if (stats.promptTokens && stats.cachedTokens !== undefined) {
    figures.push([`${percent(stats.cachedTokens / stats.promptTokens)} cached`,
                  `${count(stats.cachedTokens)} of ${count(stats.promptTokens)} prompt tokens were kept from earlier work`]);
  }
  if (stats.drafted) {
    figures.push([`${percent(stats.accepted / stats.drafted)} of drafts kept`,
                  `${count(stats.accepted)} of ${count(stats.drafted)} drafted tokens were right`]);
  }
  return figures;
}
