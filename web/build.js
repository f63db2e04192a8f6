// SPDX-License-Identifier: BSD-2-Clause
// node build.js OUT: the page's files, complete, into the folder OUT.
import { copyFile, mkdir, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2];
const out = `${target}.new`; // takes its place when it is whole
const PAGE_BYTES_MAX = 400_000;

if (!target) {
  console.error("usage: node build.js OUT");
  process.exit(2);
}

/** The licences of what is bundled ask to go with it. */
async function licences(inputs) {
  const names = new Set(inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
    .filter(Boolean));
  const texts = [];
  for (const name of [...names].sort()) {
    const folder = join(here, "node_modules", name);
    const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    texts.push(`${name} ${about.version} (${about.license})\n\n${
      file ? (await readFile(join(folder, file), "utf8")).trim() : ""}\n`);
  }
  return `This page contains:\n\n${texts.join("\n----\n\n")}`;
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.js" },
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  chunkNames: "[name]-[hash]",
  minify: true,
  target: ["chrome123", "firefox120", "safari17.5"],
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
await build({ absWorkingDir: here, entryPoints: ["src/app.css"], outfile: join(out, "app.css"),
  minify: true, target: ["chrome123", "firefox120", "safari17.5"], logLevel: "warning" });
for (const file of await readdir(join(here, "static"))) {
  await copyFile(join(here, "static", file), join(out, file));
}
await writeFile(join(out, "licences.txt"), await licences(Object.keys(metafile.inputs)));

let sum = 0;
for (const file of await readdir(out)) {
  if (file !== "licences.txt") sum += (await stat(join(out, file))).size;
}
if (sum > PAGE_BYTES_MAX) {
  console.error(`web: the page has ${sum} bytes, more than ${PAGE_BYTES_MAX}`);
  process.exit(1);
}
await rm(target, { recursive: true, force: true });
await rename(out, target);
console.log(`${relative(process.cwd(), target) || "."}: ${sum} bytes`);
