// @vladmandic/human: its models of age, gender and emotion on ready crops, fed as its own code feeds them; the whole of
// it on frames.
'use strict';

const fs = require('fs');
const path = require('path');
const { fromHere, wasmFolder, emotions, run } = require('./common.cjs');

const models = path.join(path.dirname(fromHere.resolve('@vladmandic/human')), '../models');
const LABELS = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
const GREY = [0.2989, 0.587, 0.114];

let tf;
let description;
let emotion;
let human;

/** Load a graph model from a file; the package has no loader for files without the native TensorFlow. */
async function load(name) {
  const document = JSON.parse(fs.readFileSync(path.join(models, `${name}.json`), 'utf8'));
  const weights = document.weightsManifest.flatMap((group) => group.paths.map((each) => fs.readFileSync(path.join(models, each))));
  const data = Buffer.concat(weights);
  const weightData = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const weightSpecs = document.weightsManifest.flatMap((group) => group.weights);
  const artifacts = { modelTopology: document.modelTopology, format: document.format, weightSpecs, weightData };
  return tf.loadGraphModel({ load: async () => ({ ...artifacts, signature: document.signature }) });
}

async function prepare(tensorflow) {
  tf = tensorflow;
  description = await load('faceres');
  emotion = await load('emotion');
}

function years(spread) {
  const top = spread.indexOf(Math.max(...spread));
  const [below, above] = [spread[top - 1] ?? 0, spread[top + 1] ?? 0];
  return Math.max(below > above ? top - 10 * below : top + 10 * above, 0);
}

async function face(tensor) {
  const outputs = tf.tidy(() => {
    const picture = tensor.toFloat().div(255).expandDims(0);
    const found = description.execute(picture.resizeBilinear([224, 224]).mul(255));
    const grey = picture.resizeBilinear([64, 64]).mul(GREY).sum(3, true).sub(0.5).mul(2);
    const width = (count) => found.find((each) => each.shape[1] === count);
    return [width(1), width(100), emotion.execute(grey)];
  });
  const [male, ages, scores] = await Promise.all(outputs.map((each) => each.data()));
  outputs.forEach((each) => each.dispose());
  const named = LABELS.map((label, index) => ({ emotion: label, score: scores[index] }));
  return { age: years(Array.from(ages)), gender: [male[0], 1 - male[0]], emotion: emotions(named) };
}

/** Return Human itself with everything off but faces and their attributes, and nothing remembered between frames. */
async function whole() {
  const { Human } = fromHere(path.join(models, '../dist/human.node-wasm.js'));
  const online = globalThis.fetch;
  globalThis.fetch = async (source, init) => {
    const url = String(source.url ?? source);
    return url.startsWith('file:') ? new Response(fs.readFileSync(new URL(url))) : online(source, init);
  };
  const off = { enabled: false };
  const face = { enabled: true, detector: { maxDetected: 50, rotation: false, minConfidence: 0.4 }, iris: off, antispoof: off, liveness: off };
  const instance = new Human({
    backend: 'wasm', wasmPath: wasmFolder, modelBasePath: `file://${models}/`, debug: false, cacheSensitivity: 0,
    filter: off, gesture: off, hand: off, body: off, object: off, segmentation: off, face,
  });
  await instance.load();
  return instance;
}

async function frame(tensor) {
  human ??= await whole();
  const picture = human.tf.tidy(() => tensor.toFloat().expandDims(0));
  const result = await human.detect(picture);
  picture.dispose();
  if (result.error) throw new Error(result.error);
  return result.face.length;
}

run({ prepare, face, frame });
