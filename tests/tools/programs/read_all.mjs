// Hashes of all files of a directory, read all at once while signals come: read_all.mjs DIRECTORY
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

const EVERY_MS = 1;

let signals = 0;
process.on("SIGUSR2", () => signals++);
const timer = setInterval(() => process.kill(process.pid, "SIGUSR2"), EVERY_MS);

const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
const directory = process.argv[2];
const names = (await readdir(directory)).sort();
const lines = await Promise.all(names.map(async (name) => `${hash(await readFile(join(directory, name)))}  ${name}`));
for (const [at, name] of names.entries()) {
    if (lines[at] !== `${hash(readFileSync(join(directory, name)))}  ${name}`)
        throw new Error(`${name}: two reads saw different bytes`);
}
while (signals === 0)
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
clearInterval(timer);
console.log(lines.join("\n"));
