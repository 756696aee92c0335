// A WebSocket to this server that comes back by itself. The cookie of the page goes with it.

const LONGEST_WAIT = 10_000;

/**
 * Keep a WebSocket open.
 *
 * `path` is on this server, such as `/live/ws`. Handlers, all optional: `message(object)` for JSON, `data(blob)` for
 * binary messages, `state(text)` with `open`, `waiting` (for a server that does not answer) or `closed`.
 */
export class Connection {
  #socket = null;
  #handlers;
  #path;
  #wait = 500;
  #ended = false;
  #timer = 0;

  constructor(path, handlers) {
    this.#path = path;
    this.#handlers = handlers;
    this.#open();
    // A page that is left frees its part of the server at once; one that comes back from the browser's memory resumes.
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && !this.#ended && this.#open());
  }

  /** Whether messages can be sent now. */
  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Bytes that were handed over and are not sent yet. */
  get waitingBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Send an object as JSON, or a blob or buffer as it is. Nothing is sent while the connection is not open. */
  send(message) {
    if (!this.isOpen) return;
    const binary = message instanceof Blob || message instanceof ArrayBuffer || ArrayBuffer.isView(message);
    this.#socket.send(binary ? message : JSON.stringify(message));
  }

  /** Close it for good. */
  close() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#handlers.state?.("closed");
  }

  #open() {
    clearTimeout(this.#timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.#path}`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#wait = 500;
      this.#handlers.state?.("open");
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof Blob) this.#handlers.data?.(data);
      else this.#handlers.message?.(JSON.parse(data));
    };
    socket.onclose = () => {
      if (this.#ended || socket !== this.#socket) return;
      this.#handlers.state?.("waiting");
      this.#timer = setTimeout(() => this.#open(), this.#wait);
      this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
    };
  }
}
