// The part of XMLHttpRequest that @xapi/cmi5 uses, on top of fetch, because Node.js has none.

class Request {
  #headers = {};
  #answer = new Headers();
  status = 0;
  statusText = "";
  response = "";
  responseText = "";
  readyState = 0;
  onloadend = null;
  onerror = null;
  upload = { addEventListener() {} };

  open(method, url) {
    this.method = method;
    this.responseURL = url;
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  getAllResponseHeaders() {
    return [...this.#answer].map(([name, value]) => `${name}: ${value}`).join("\r\n");
  }

  addEventListener() {}

  abort() {}

  async send(body) {
    try {
      const answer = await fetch(this.responseURL, { method: this.method, headers: this.#headers, body: body ?? undefined });
      this.response = this.responseText = await answer.text();
      this.#answer = answer.headers;
      [this.status, this.statusText, this.readyState] = [answer.status, answer.statusText, 4];
    } catch (error) {
      this.onerror?.(error);
      return;
    }
    this.onloadend?.();
  }
}

globalThis.XMLHttpRequest = Request;
