// Feeds every variant of every kernel to Tint, the WGSL compiler of Chrome, through Dawn's null backend: it parses, validates
// and puts the overrides in place, and nothing runs. Variants for naga only are counted and left out.
//
//   node check.mjs LEMMA-GPU
import { execFileSync } from "node:child_process";
import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
const program = process.argv[2];
if (!program) {
  console.error("usage: node check.mjs LEMMA-GPU");
  process.exit(2);
}
const run = (...args) => execFileSync(program, args, { encoding: "utf8", maxBuffer: 1 << 26 });

/** Every kernel with its variants, as `kernels list --variants` prints them. */
function* variants() {
  let kernel = "";
  for (const line of run("kernels", "list", "--variants").trimEnd().split("\n").slice(1)) {
    if (line.startsWith("    ")) yield [kernel, line.trim()];
    else kernel = line.split(/\s+/)[0];
  }
}

// An adapter does not keep its instance, which must outlive it.
const instance = create(["backend=null"]);
const adapter = await instance.requestAdapter();
const limits = {};
for (const name of ["maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX", "maxComputeWorkgroupStorageSize"])
  limits[name] = adapter.limits[name];
const device = await adapter.requestDevice({ requiredFeatures: ["subgroups"], requiredLimits: limits });

let accepted = 0, nagaOnly = 0;
const refused = [];
for (const [kernel, variant] of variants()) {
  const code = run("kernels", "show", kernel, "--variant", variant);
  if (code.startsWith("// For naga only")) {
    nagaOnly += 1;
    continue;
  }
  // Tile constants are in the text already.
  const constants = {};
  for (const [, name, value] of variant.matchAll(/(\w+)=(\d+)/g))
    if (new RegExp(`^\\s*override ${name}\\b`, "m").test(code)) constants[name] = Number(value);
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const messages = (await module.getCompilationInfo()).messages.filter((m) => m.type === "error");
  if (messages.length === 0)
    device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main", constants } });
  const error = await device.popErrorScope();
  if (error || messages.length) {
    const first = messages[0];
    refused.push(`${kernel} [${variant}]: ${first ? `${first.lineNum}: ${first.message}` : error.message.split("\n")[0]}`);
  } else accepted += 1;
}
for (const line of refused.slice(0, 20)) console.error(line);
console.log(`Tint: ${accepted} variants accepted, ${refused.length} refused, ${nagaOnly} for naga only`);
process.exit(refused.length || accepted === 0 ? 1 : 0);
