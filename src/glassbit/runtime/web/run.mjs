// Runs ONNX files in onnxruntime-web on the images of a job file; prints the outputs' shapes as JSON.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const ort = createRequire(join(job.folder, "job.json"))(join(job.package, "node_modules", "onnxruntime-web"));
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const answers = [];
for (const [number, { model, optimize, input, target, predicted, batches }] of job.runs.entries()) {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: optimize ? "all" : "disabled",
    logSeverityLevel: 3,
  });
  const shapes = [];
  for (const [batch, { file, shape }] of batches.entries()) {
    const image = new ort.Tensor("uint8", new Uint8Array(readFileSync(file)), shape);
    const feeds = { [input]: image };
    if (session.inputNames.includes(target)) {
      feeds[target] = new ort.Tensor("int64", BigInt64Array.of(BigInt(predicted)), [1]);
    }
    const outputs = await session.run(feeds);
    const dims = {};
    for (const [name, value] of Object.entries(outputs)) {
      const { buffer, byteOffset, byteLength } = value.data;
      writeFileSync(join(job.folder, `${number}.${name}.${batch}.out`), new Uint8Array(buffer, byteOffset, byteLength));
      dims[name] = value.dims;
    }
    shapes.push(dims);
  }
  await session.release();
  answers.push(shapes);
}
console.log(JSON.stringify(answers));
