// SPDX-License-Identifier: BSD-2-Clause
// Ringing, made here rather than loaded. A browser may keep it silent until the page was touched.

let context = null;
let timer = 0;

function burst(frequencies, seconds, volume) {
  const gain = context.createGain();
  const now = context.currentTime;
  gain.gain.setValueAtTime(0, now);
  gain.gain.linearRampToValueAtTime(volume, now + 0.03);
  gain.gain.setValueAtTime(volume, now + seconds - 0.06);
  gain.gain.linearRampToValueAtTime(0, now + seconds);
  gain.connect(context.destination);
  for (const frequency of frequencies) {
    const source = context.createOscillator();
    source.frequency.value = frequency;
    source.connect(gain);
    source.start(now);
    source.stop(now + seconds);
  }
}

/** kind: "incoming", "ringing" (far away), or null for silence. */
export function ring(kind) {
  clearInterval(timer);
  timer = 0;
  if (!kind || !globalThis.AudioContext) return;
  context ??= new AudioContext();
  context.resume?.().catch(() => {});
  const play = kind === "incoming" ? () => burst([523, 659], 0.9, 0.09)
    : () => burst([425], 1, 0.03);
  play();
  timer = setInterval(play, kind === "incoming" ? 2400 : 4000);
}
