// `node custom.cjs FOLDER`: reads objects of cert-manager as JSON, and prints what does not fit the definitions that are installed in FOLDER: values
// by their schemas, and fields that are not known, which the schemas let pass, by their types.
const fs = require("node:fs");
const path = require("node:path");
const folder = path.resolve(process.argv[2]);
const from = require("node:module").createRequire(path.join(folder, "package.json"));
const ts = from("typescript");

const objects = JSON.parse(fs.readFileSync(0, "utf8"));
const named = (object) => `${object.kind} ${object.metadata?.name}`;
const problems = [];
for (const object of objects) {
  try {
    const kinds = from(`@kubernetes-models/cert-manager/${object.apiVersion}`);
    if (!kinds[object.kind]) throw new Error("no such kind");
    new kinds[object.kind](object).validate();
  } catch (error) {
    problems.push(`${named(object)}: ${error.message}`);
  }
}

const lines = objects.map((object, at) => {
  const type = `import("@kubernetes-models/cert-manager/${object.apiVersion}").I${object.kind}`;
  return `export const object${at}: ${type} = ${JSON.stringify(object)};`;
});
const file = path.join(folder, "objects.ts");
fs.writeFileSync(file, lines.join("\n"));
const options = { noEmit: true, strict: true, skipLibCheck: true, module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
for (const found of ts.getPreEmitDiagnostics(ts.createProgram([file], options))) {
  const line = found.file ? found.file.getLineAndCharacterOfPosition(found.start).line : -1;
  const where = found.file?.fileName === file ? named(objects[line]) : "types";
  problems.push(`${where}: ${ts.flattenDiagnosticMessageText(found.messageText, " ")}`);
}
console.log(JSON.stringify(problems));
