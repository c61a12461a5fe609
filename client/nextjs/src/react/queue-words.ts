"use client";

import { useMemo } from "react";

import { useSettings } from "./context.js";
import { messages as english, type Messages } from "./queue-messages.js";
import { useWords, type Words } from "./words.js";

/** The button's words and the queue's. */
export function useAllWords(): Omit<Words, "text"> & { text: Messages } {
  const words = useWords();
  const { messages } = useSettings();
  return useMemo(
    () => ({
      ...words,
      text: {
        ...english,
        ...messages,
        ...words.text,
        filters: { ...english.filters, ...messages.filters },
        states: { ...english.states, ...messages.states },
      },
    }),
    [words, messages],
  );
}
