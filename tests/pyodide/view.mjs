// Runs `python -m s2s_magic view` in Pyodide, a Python for browsers, here within Node.js.
// node view.mjs WHEELS SOURCE LEDGER PAGE: with the wheels of a folder and the package's source, writes the page.
import { readdirSync, readFileSync, writeFileSync } from "fs";
import { createRequire } from "module";
import { pathToFileURL } from "url";

const [wheels, source, ledger, page] = process.argv.slice(2);
const found = createRequire(`${process.cwd()}/`).resolve("pyodide/pyodide.mjs");
const { loadPyodide } = await import(pathToFileURL(found));
const python = await loadPyodide();
await python.loadPackage(readdirSync(wheels).map((name) => `${wheels}/${name}`), { messageCallback: () => {} });
python.FS.mkdir("/source");
python.FS.mount(python.FS.filesystems.NODEFS, { root: source }, "/source");
python.FS.writeFile("/ledger.json", readFileSync(ledger));
const status = python.runPython(`
import sys
sys.path.insert(0, "/source")
from s2s_magic.__main__ import main
print(sys.version_info[:2], sys.platform)
main(["view", "/ledger.json", "--html", "/page.html", "--text"])
`);
writeFileSync(page, python.FS.readFile("/page.html"));
process.exitCode = status;
