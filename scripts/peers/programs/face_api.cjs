// @vladmandic/face-api: age, gender and expression nets on ready crops; TinyFaceDetector and the same nets on frames.
'use strict';

const path = require('path');
const { fromHere, emotions, run } = require('./common.cjs');

// The build for WebAssembly; the default one wants the native TensorFlow.
const file = path.join(path.dirname(fromHere.resolve('@vladmandic/face-api/package.json')), 'dist/face-api.node-wasm.js');
const api = fromHere(file);
const models = path.join(path.dirname(file), '../model');
let options;

async function prepare() {
  for (const net of [api.nets.ageGenderNet, api.nets.faceExpressionNet, api.nets.tinyFaceDetector]) {
    await net.loadFromDisk(models);
  }
  await api.nets.faceLandmark68Net.loadFromDisk(models);
  options = new api.TinyFaceDetectorOptions({ inputSize: 416, scoreThreshold: 0.4 });
}

async function face(tensor) {
  const { age, gender, genderProbability } = await api.nets.ageGenderNet.predictAgeAndGender(tensor);
  const expressions = await api.nets.faceExpressionNet.predictExpressions(tensor);
  const male = gender === 'male' ? genderProbability : 1 - genderProbability;
  return { age, gender: [male, 1 - male], emotion: emotions(expressions) };
}

async function frame(tensor) {
  return (await api.detectAllFaces(tensor, options).withFaceExpressions().withAgeAndGender()).length;
}

run({ prepare, face, frame });
