// Colours code in the few ways that help reading: comments, strings, numbers, words of the language, names that are called.

const C_LIKE = 'alignas auto bool break case catch char class const constexpr continue default delete do double else enum explicit export extern false float for friend goto if inline int long mutable namespace new noexcept nullptr operator override private protected public return short signed sizeof static struct switch template this throw true try typedef typename union unsigned using virtual void volatile while';
const WORDS = {
  c: C_LIKE,
  js: 'async await break case catch class const continue default delete do else enum export extends false finally for from function get if implements import in instanceof interface let new null of private public readonly return set static super switch this throw true try type typeof undefined var void while yield',
  py: 'and as assert async await break class continue def del elif else except False finally for from global if import in is lambda match None nonlocal not or pass raise return self True try while with yield',
  rs: 'as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while',
  go: 'break case chan const continue default defer else fallthrough false for func go goto if import interface map nil package range return select struct switch true type var',
  java: 'abstract boolean break byte case catch char class const continue default do double else enum extends final finally float for if implements import instanceof int interface long new null package private protected public return short static super switch this throw throws true false try void while var record',
  sh: 'case do done elif else esac exit export fi for function if in local return set shift then until while echo cd source sudo',
  sql: 'add all alter and as asc between by case check column constraint count create default delete desc distinct drop else end exists false from full group having if in index inner insert into is join key left like limit not null offset on or order outer primary references right select set table then true union unique update values view when where with',
  json: 'true false null',
  css: '', html: '', diff: '', toml: 'true false', yaml: 'true false null',
};
const ALIASES = {'c++': 'c', cpp: 'c', cc: 'c', h: 'c', hpp: 'c', cuda: 'c', cs: 'java', csharp: 'java', kotlin: 'java', swift: 'rs',
  javascript: 'js', jsx: 'js', mjs: 'js', node: 'js', ts: 'js', tsx: 'js', typescript: 'js', python: 'py', python3: 'py', rust: 'rs',
  golang: 'go', bash: 'sh', shell: 'sh', zsh: 'sh', console: 'sh', xml: 'html', svg: 'html', yml: 'yaml', ini: 'toml', jsonl: 'json',
  json5: 'json', patch: 'diff', scss: 'css'};
const HASH = new Set(['py', 'sh', 'yaml', 'toml']);

function rulesOf(language) {
  const strings = ['"(?:\\\\.|[^"\\\\\\n])*"?', "'(?:\\\\.|[^'\\\\\\n])*'?"];
  if (language === 'js' || language === 'go' || language === 'sh') strings.push('`(?:\\\\.|[^`\\\\])*`?');
  if (language === 'py') strings.unshift('"""[^]*?(?:"""|$)', "'''[^]*?(?:'''|$)");
  let comments = '/\\*[^]*?(?:\\*/|$)|//[^\\n]*';
  if (HASH.has(language)) comments = '#[^\\n]*';
  if (language === 'sql') comments = '--[^\\n]*|/\\*[^]*?(?:\\*/|$)';
  if (language === 'html') comments = '<!--[^]*?(?:-->|$)';
  if (language === 'css') comments = '/\\*[^]*?(?:\\*/|$)';
  if (language === 'json') comments = '(?!)';
  return new RegExp(`(${comments})|(${strings.join('|')})|(\\b\\d[\\w.]*)|([A-Za-z_$][\\w$]*)(?=(\\s*\\()?)`, 'g');
}

const cache = new Map();
function grammarOf(name) {
  const language = ALIASES[name] ?? name;
  if (!(language in WORDS)) return null;
  if (!cache.has(language)) {
    const ignoreCase = language === 'sql';
    cache.set(language, {language, ignoreCase, rules: rulesOf(language), words: new Set(WORDS[language].split(' '))});
  }
  return cache.get(language);
}

function piece(kind, text) {
  const span = document.createElement('span');
  span.className = `tk-${kind}`;
  span.textContent = text;
  return span;
}

function highlightDiff(code, out) {
  for (const line of code.split(/(?<=\n)/)) {
    const kind = line[0] === '+' ? 'added' : line[0] === '-' ? 'removed' : line.startsWith('@@') ? 'comment' : null;
    out.append(kind ? piece(kind, line) : line);
  }
  return out;
}

// The code as text nodes and spans. Unknown languages and very long code come back plain.
export function highlight(code, language) {
  const out = document.createDocumentFragment();
  const grammar = code.length < 60000 ? grammarOf((language ?? '').toLowerCase()) : null;
  if (!grammar) {
    out.append(code);
    return out;
  }
  if (grammar.language === 'diff') return highlightDiff(code, out);
  let end = 0;
  for (const match of code.matchAll(grammar.rules)) {
    const [text, comment, string, number, word, called] = match;
    const isWord = word && grammar.words.has(grammar.ignoreCase ? word.toLowerCase() : word);
    const kind = comment ? 'comment' : string ? 'string' : number ? 'number' : isWord ? 'word' : called ? 'call' : null;
    if (!kind) continue;
    if (match.index > end) out.append(code.slice(end, match.index));
    out.append(piece(kind, text));
    end = match.index + text.length;
  }
  out.append(code.slice(end));
  return out;
}
