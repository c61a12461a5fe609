"use client";

import { createContext, createElement, useContext, useMemo, type ReactNode } from "react";

import { DEFAULT_BASE_PATH, getStore, type Store } from "../browser/store.js";
import type { Messages } from "./queue-messages.js";

export interface Settings {
  /** Where the app's routes are. Default `/api/hfdmd`. */
  basePath: string;
  /** Locale for numbers. Default `en`; set it to the language of the page. */
  locale: string;
  /** Texts that replace the English ones. */
  messages: Partial<Messages>;
}

const DEFAULTS: Settings = { basePath: DEFAULT_BASE_PATH, locale: "en", messages: {} };
const Context = createContext<Settings>(DEFAULTS);

/** Settings for all components inside it; without a provider the defaults apply. */
export function HfdmdProvider({ children, basePath, locale, messages }: Partial<Settings> & { children: ReactNode }) {
  const outer = useContext(Context);
  const value = useMemo(
    () => ({
      basePath: basePath ?? outer.basePath,
      locale: locale ?? outer.locale,
      messages: { ...outer.messages, ...messages },
    }),
    [outer, basePath, locale, messages],
  );
  return createElement(Context.Provider, { value }, children);
}

export const useSettings = (): Settings => useContext(Context);

/** The store behind the hooks: `subscribe` and `getSnapshot` feed any other cache. */
export function useStore(basePath?: string): Store {
  const settings = useSettings();
  return getStore(basePath ?? settings.basePath);
}
