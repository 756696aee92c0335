// The browser's webcam as a stream of small JPEG images.

/** Return an open webcam of at most `side` pixels, or throw an Error with a sentence for the visitor. */
export async function openWebcam(side) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new Error(
      "Browsers give a webcam only to pages of this machine or of https: open this page as http://localhost, for " +
      "example through ssh -L, or start the server with --certificate.",
    );
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: side }, height: { ideal: Math.round(0.75 * side) }, facingMode: "user" },
      audio: false,
    });
    return await Webcam.of(stream, side);
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The webcam cannot be used (${error.name}).`);
  }
}

const REASONS = {
  NotAllowedError: "The webcam was not allowed: allow it beside the address of this page, and try again.",
  NotFoundError: "There is no webcam on this device.",
  NotReadableError: "Another program uses the webcam.",
};

class Webcam {
  #stream;
  #video;
  #canvas = document.createElement("canvas");

  static async of(stream, side) {
    const webcam = new Webcam();
    webcam.#stream = stream;
    webcam.#video = document.createElement("video");
    webcam.#video.muted = true;
    webcam.#video.playsInline = true;
    webcam.#video.srcObject = stream;
    await webcam.#video.play();
    const { videoWidth: width, videoHeight: height } = webcam.#video;
    const scale = Math.min(side / Math.max(width, height), 1);
    webcam.#canvas.width = Math.round(width * scale);
    webcam.#canvas.height = Math.round(height * scale);
    return webcam;
  }

  /** Return the present image as a JPEG blob, mirrored, as people know themselves. */
  frame() {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    context.setTransform(-1, 0, 0, 1, width, 0);
    context.drawImage(this.#video, 0, 0, width, height);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", 0.85));
  }

  /** Switch the webcam off. */
  close() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#video.srcObject = null;
  }
}
