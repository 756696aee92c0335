// What the JavaScript peers share: TensorFlow.js on WebAssembly, pictures from .npy files, answers as JSON lines.
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

// Packages lie where the command was started, not beside this file.
const fromHere = createRequire(path.join(process.cwd(), 'package.json'));

const wasmFolder = path.dirname(fromHere.resolve('@tensorflow/tfjs-backend-wasm')) + path.sep;

/** Emotions in the order of facial_attributes_ros.attributes, by the peers' words. */
const EMOTIONS = [['surprise', 'surprised'], ['fear', 'fearful'], ['disgust', 'disgusted'], ['happy'], ['sad'], ['angry'],
  ['neutral']];

/** Return TensorFlow.js, computing on the CPU with as many threads as FACIAL_ATTRIBUTES_THREADS says. */
async function tensorflow() {
  const tf = fromHere('@tensorflow/tfjs');
  const wasm = fromHere('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(wasmFolder);
  wasm.setThreadsCount(Number(process.env.FACIAL_ATTRIBUTES_THREADS || 1));
  await tf.setBackend('wasm');
  await tf.ready();
  return tf;
}

/** Return {shape, data} of a uint8 array that numpy.save wrote. */
function readPictures(file) {
  const bytes = fs.readFileSync(file);
  const size = bytes[6] === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  const start = (bytes[6] === 1 ? 10 : 12) + size;
  const header = bytes.subarray(start - size, start).toString('latin1');
  if (!header.includes("'|u1'") || header.includes('True')) throw new Error(`${file} is no uint8 array in C order`);
  const shape = header.match(/\(([^)]*)\)/)[1].split(',').map(Number).filter((side) => side > 0);
  return { shape, data: bytes.subarray(start) };
}

/** Return probabilities in our order from an object or a list of {emotion, score} under the peers' words. */
function emotions(found) {
  const scores = Array.isArray(found) ? Object.fromEntries(found.map((each) => [each.emotion, each.score])) : found;
  return EMOTIONS.map((words) => words.map((word) => scores[word]).find((score) => score !== undefined) ?? 0);
}

/** Run `peer`, which has prepare(tf), face(tensor) and frame(tensor), on what the command line names. */
async function main(peer) {
  const [mode, input, output, seconds] = process.argv.slice(2);
  const tf = await tensorflow();
  await peer.prepare(tf);
  const { shape, data } = readPictures(input);
  const length = shape[1] * shape[2] * 3;
  const picture = (index) => tf.tensor3d(data.subarray(index * length, (index + 1) * length), shape.slice(1), 'int32');
  const answer = async (work, index) => {
    const tensor = picture(index);
    try {
      return await work(tensor);
    } finally {
      tensor.dispose();
    }
  };
  const result = fs.createWriteStream(output);
  if (mode === 'crops') {
    for (let index = 0; index < shape[0]; index += 1) {
      result.write(`${JSON.stringify(await answer(peer.face, index))}\n`);
      if (index % 100 === 99) process.stderr.write(`${index + 1}/${shape[0]}\n`);
    }
  } else {
    for (let index = 0; index < shape[0]; index += 1) {
      const faces = await answer(peer.frame, index); // warms up
      const milliseconds = [];
      const end = performance.now() + 1000 * Number(seconds);
      while (performance.now() < end || milliseconds.length < 3) {
        const start = performance.now();
        await answer(peer.frame, index);
        milliseconds.push(performance.now() - start);
      }
      result.write(`${JSON.stringify({ faces, milliseconds })}\n`);
    }
  }
  await new Promise((done) => { result.end(done); });
}

/** Run, and end with the error as one line if it fails; worker threads would keep the process alive. */
function run(peer) {
  main(peer).then(() => process.exit(0), (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
}

module.exports = { fromHere, wasmFolder, emotions, run };
