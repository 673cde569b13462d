// Start or stop of the Live tab: microphone -> WebSocket -> loudspeaker, in blocks of 23 ms.
async (voice, pitch, gated) => {
  const WORKLET = `
    const BLOCK = 512, BUFFER = 3 * BLOCK, TOO_MUCH = 16 * BLOCK;
    class Live extends AudioWorkletProcessor {
      constructor() {
        super();
        this.block = new Float32Array(BLOCK);
        this.filled = 0;           // samples of the block
        this.heard = 0;            // samples from the microphone
        this.spoken = 0;           // samples that were played; number n is number n of the microphone, converted
        this.queue = [];
        this.waiting = 0;
        this.offset = 0;           // into the first of the queue
        this.playing = false;
        this.port.onmessage = ({data}) => {
          this.queue.push(data);
          this.waiting += data.length;
          while (this.waiting > TOO_MUCH) this.skip();
        };
      }
      skip() {                     // what came late is left out: a conversation must not lag behind ever more
        const rest = this.queue.shift().length - this.offset;
        this.offset = 0;
        this.waiting -= rest;
        this.spoken += rest;
      }
      process([input], [output]) {
        for (const sample of input[0] ?? []) {
          this.block[this.filled++] = sample;
          if (this.filled === BLOCK) {
            this.port.postMessage({samples: this.block.slice(), lag: (this.heard - this.spoken) / sampleRate});
            this.filled = 0;
          }
        }
        this.heard += input[0]?.length ?? 0;
        this.playing ||= this.waiting >= BUFFER;
        const out = output[0];
        for (let i = 0; i < out.length && this.playing; i++) {
          if (!this.waiting) { this.playing = false; break; }
          out[i] = this.queue[0][this.offset++];
          this.waiting--;
          this.spoken++;
          if (this.offset === this.queue[0].length) { this.queue.shift(); this.offset = 0; }
        }
        return true;
      }
    }
    registerProcessor("live", Live);`;
  const place = document.querySelector("#live-status");
  const say = (text) => { place.textContent = text; };
  const stop = (text) => {
    const live = window.voiceconvLive;
    window.voiceconvLive = null;
    live?.stream?.getTracks().forEach((track) => track.stop());
    live?.context?.close();
    live?.socket?.close();
    say(text);
  };
  if (window.voiceconvLive) { stop("Stopped."); return; }
  const live = window.voiceconvLive = {};
  say("Opening the microphone …");
  try {
    const query = new URLSearchParams({voice, pitch, gate: gated ? -45 : -70});
    const address = new URL(`live?${query}`, location.href.split("?")[0].replace(/\/?$/, "/"));
    address.protocol = address.protocol.replace("http", "ws");
    live.stream = await navigator.mediaDevices.getUserMedia(
      {audio: {channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
    live.socket = new WebSocket(address);
    live.socket.binaryType = "arraybuffer";
    const opened = await new Promise((resolve, reject) => {
      live.socket.onmessage = ({data}) => resolve(JSON.parse(data));
      live.socket.onclose = () => reject(new Error("The server does not answer."));
    });
    if (opened.error) { stop(opened.error); return; }
    live.context = new AudioContext({sampleRate: opened.rate, latencyHint: "interactive"});
    const module = URL.createObjectURL(new Blob([WORKLET], {type: "text/javascript"}));
    await live.context.audioWorklet.addModule(module);
    const node = new AudioWorkletNode(live.context, "live", {outputChannelCount: [1]});
    live.context.createMediaStreamSource(live.stream).connect(node).connect(live.context.destination);
    live.socket.onclose = () => { if (window.voiceconvLive === live) stop("The server ended the conversation."); };
    live.socket.onmessage = ({data}) => {
      if (typeof data === "string") {
        const message = JSON.parse(data);
        if (message.error) { stop(message.error); } else { Object.assign(opened, message); }
        return;
      }
      const samples = new Float32Array(data);
      live.loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), live.loudest ?? 0);
      node.port.postMessage(samples);
    };
    let told = 0;
    node.port.onmessage = ({data}) => {
      if (live.socket.readyState === WebSocket.OPEN) live.socket.send(data.samples.buffer);
      if (performance.now() - told < 500) return;
      told = performance.now();
      if (!opened.learned) { say("Speak: your pitch is learned from your first words, which stay silent."); return; }
      const device = (live.context.baseLatency ?? 0) + (live.context.outputLatency ?? 0);
      const ms = (seconds) => `${Math.round(1000 * seconds)} ms`;
      say(`What you say is heard ${ms(data.lag + device)} later, ${ms(opened.latency)} of which the conversion looks `
        + "ahead.");
    };
  } catch (error) {
    stop(`It does not start: ${error.message}`);
  }
}
