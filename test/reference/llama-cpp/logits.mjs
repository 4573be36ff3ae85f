// node logits.mjs MODEL.gguf IDS_JSON [ADAPTER.gguf …]: the logarithm that llama.cpp has of the probability of each token behind
// each of the ids, of the model alone and with each adapter, as JSON on standard output: [[[…vocabulary…], …ids…], …].
import { getLlama } from 'node-llama-cpp';

const [modelPath, ids, ...adapters] = process.argv.slice(2);
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
const model = await llama.loadModel({ modelPath });
// All tokens, as they are: nothing is to be sampled from them.
const generateNext = { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } };
const results = [];
for (const lora of [undefined, ...adapters]) {
  const context = await model.createContext({
    contextSize: 256,
    threads: 1,
    // Keys and values as they are computed, in float32.
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
    ...(lora === undefined ? {} : { lora }),
  });
  const found = await context
    .getSequence()
    .controlledEvaluate(JSON.parse(ids).map((id) => [id, { generateNext }]));
  results.push(
    found.map(({ next: { probabilities } }) => {
      const row = [];
      for (const [token, probability] of probabilities) row[token] = Math.log(probability);
      return row;
    }),
  );
  await context.dispose();
}
process.stdout.write(JSON.stringify(results));
await llama.dispose();
