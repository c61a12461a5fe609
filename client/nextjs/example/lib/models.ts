export interface Model {
  title: string;
  text: string;
  emoji: string;
  modelRepo: string;
  filePath: string;
}

export const MODELS: Model[] = [
  {
    title: "Qwen3 0.6B",
    text: "A small model that answers on any laptop. One file, eight bits.",
    emoji: "💬",
    modelRepo: "Qwen/Qwen3-0.6B-GGUF",
    filePath: "Qwen3-0.6B-Q8_0.gguf",
  },
  {
    title: "all-MiniLM-L6-v2",
    text: "Turns sentences into vectors: search by meaning on your own machine.",
    emoji: "🔎",
    modelRepo: "sentence-transformers/all-MiniLM-L6-v2",
    filePath: "model.safetensors",
  },
  {
    title: "Whisper tiny",
    text: "Writes down what is said, in a hundred languages.",
    emoji: "🎙️",
    modelRepo: "openai/whisper-tiny",
    filePath: "model.safetensors",
  },
];
