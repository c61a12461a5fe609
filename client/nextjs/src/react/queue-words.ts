"use client";

/** Adds the texts of the queue to those of words.ts; separate so that a button alone stays below its budget of 8 KB. */
import { useMemo } from "react";

import { useSettings } from "./context.js";
import { messages as english, type Messages } from "./queue-messages.js";
import { useWords, type Words } from "./words.js";

/** The texts of the button and of the queue. */
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
