// Records the microphone as WAV, which every browser can seek in, and reports its level.

const COLLECTOR = `registerProcessor("collector", class extends AudioWorkletProcessor {
  constructor() { super(); this.block = new Float32Array(2048); this.filled = 0; }
  process([input]) {
    for (const sample of input[0] ?? []) {
      this.block[this.filled++] = sample;
      if (this.filled === this.block.length) { this.port.postMessage(this.block.slice()); this.filled = 0; }
    }
    return true;
  }
});`;

/** Starts recording. `onBlock(samples, seconds)` is called about 25 times a second, `onLost` if the microphone goes. */
async function record(onBlock, onLost) {
  const stream = await openMicrophone();
  const context = new AudioContext();
  const blocks = [];
  let samples = 0;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([COLLECTOR], {type: "text/javascript"})));
  const node = new AudioWorkletNode(context, "collector", {numberOfOutputs: 0});
  node.port.onmessage = ({data}) => {
    blocks.push(Int16Array.from(data, (sample) => 32767 * Math.max(-1, Math.min(1, sample))));
    samples += data.length;
    onBlock(data, samples / context.sampleRate);
  };
  context.createMediaStreamSource(stream).connect(node);
  stream.getTracks()[0].onended = onLost;
  return {
    /** Ends the recording; a File. */
    async finish() {
      stream.getTracks().forEach((track) => track.stop());
      const rate = context.sampleRate;
      await context.close();
      return new File([wavHeader(samples, rate), ...blocks], "recording.wav", {type: "audio/wav"});
    },
  };
}

/** The 44 bytes before 16-bit mono samples. */
function wavHeader(samples, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  const numbers = [[4, 36 + 2 * samples], [16, 16], [24, rate], [28, 2 * rate], [40, 2 * samples]];
  text(0, "RIFF"); text(8, "WAVEfmt "); text(36, "data");
  for (const [at, value] of numbers) view.setUint32(at, value, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) view.setUint16(at, value, true);
  return view.buffer;
}
