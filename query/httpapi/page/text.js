// Texts from pipelines: how to make them harmless, shorten them and copy them.

// clean is a text from a pipeline as the page shows it: without control sequences, and
// with a replacement for each character that changes the direction of the text after
// it. element cleans its text. Titles and other attributes are cleaned where they are
// set.
const clean = (text) => plain(String(text)).replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

// apart is a text whose letters do not change the order of the text around it. It is
// an element, because isolating characters would be copied with the text.
const apart = (text) => element("bdi", "", text);

// escapeUnseen is JSON with escapes for characters that are invisible or change the
// direction of a line.
const escapeUnseen = (json) =>
  json.replace(/[\p{Cf}\p{DI}\x7f-\x9f\u2028\u2029]/gu, (c) => [...Array(c.length).keys()].map((i) => "\\u" + c.charCodeAt(i).toString(16).padStart(4, "0")).join(""));

// indented is JSON with line breaks and with its fields in their order. A parsed
// object would have the fields with numbers as names first.
function indented(json) {
  let level = 0;
  const newLine = () => "\n" + "  ".repeat(level);
  return json.replace(/"(?:[^"\\]|\\.)*"|\{\s*\}|\[\s*\]|[{}[\],:]|\s+/g, (token) => {
    switch (token[0]) {
      case "{":
      case "[":
        if (token.length > 1) return token;
        level++;
        return token + newLine();
      case "}":
      case "]":
        level--;
        return newLine() + token;
      case ",":
        return token + newLine();
      case ":":
        return ": ";
      case '"':
        return token;
    }
    return "";
  });
}

// terminalSequences are the control sequences of terminals.
const terminalSequences = /\x1b(?:\[[0-?]*[ -\/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -\/]*[0-~])|\x9b[0-?]*[ -\/]*[@-~]/g;

// plain is the output of a program as text: without control sequences, and with every
// version of an overwritten line as a line.
const plain = (text) => text.replace(terminalSequences, "").replace(/\r\n?/g, "\n").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");

// endings are lines that only say that a program failed.
const endings = /^\W*(exit(ed)?( with)?( status| code)|command (failed|terminated)|process exited|signal:)[^:]*$/i;

// additions are lines that databases print below what went wrong.
const additions = /^((DETAIL|HINT|CONTEXT|QUERY|STATEMENT|LOCATION|LINE \d+):|(PL\/pgSQL|SQL) (function|statement) )/;

// cause is the last line of an error text that says what went wrong, since programs
// print it below the trace. A line with only an exit status, or one that adds to the
// line above, counts if there is no other.
function cause(text) {
  const lines = clean(text).split("\n").map((line) => line.trim()).filter((line) => /[\p{L}\p{N}]/u.test(line));
  return lines.findLast((line) => !endings.test(line) && !additions.test(line)) || lines.at(-1) || "";
}

// readable is data for a person: JSON is indented, with its fields in their order, and
// texts in it have their line breaks.
function readable(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return plain(text);
  }
  if (typeof value === "string") return plain(value);
  return indented(text).replace(/"(?:[^"\\]|\\.)*"/g, (token) => {
    const inside = plain(JSON.parse(token));
    return inside.includes("\n") ? '"' + inside + '"' : JSON.stringify(inside);
  });
}

// ending is the last lines of a text, with at most so many characters.
function ending(text, lines, most = 4000) {
  const last = text.trimEnd().split("\n").slice(-lines).join("\n");
  return last.length > most ? "…" + last.slice(-most) : last;
}

// copy puts a text on the clipboard, even if the origin of the page is not secure.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const box = element("textarea");
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
}

// copyButton is a button that copies what text() returns and confirms it.
function copyButton(label, text) {
  const button = element("button", "copy", label);
  button.type = "button";
  button.addEventListener("click", async () => {
    await copy(text());
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}
