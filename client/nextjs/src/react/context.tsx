"use client";

import { createContext, createElement, useContext, useMemo, type ReactNode } from "react";

import { DEFAULT_BASE_PATH, EMPTY, getStore, type Snapshot, type Store } from "../browser/store.js";
import type { Item } from "../browser/item.js";
import { Ledger } from "../browser/ledger.js";
import type { Downloads } from "../wire.js";
import type { Messages } from "./queue-messages.js";

export interface Settings {
  /** Where the app's routes are. Default `/api/hfdmd`. */
  basePath: string;
  /** Locale for numbers. Default `en`; set it to the language of the page. */
  locale: string;
  /** Texts that replace the English ones. */
  messages: Partial<Messages>;
}

/** The state for the first paint, by base path: rendered on the server and equal in the browser. */
interface Initial {
  find: (key: string) => Item | undefined;
  snapshot: Snapshot;
}

const DEFAULTS: Settings & { initial?: Initial } = { basePath: DEFAULT_BASE_PATH, locale: "en", messages: {} };
const Context = createContext(DEFAULTS);

export interface HfdmdProviderProps extends Partial<Settings> {
  /** The downloads to show until the stream has been opened: `await hfdmd().snapshot()` of `hfdmd-nextjs/server`. */
  initial?: Downloads;
  children: ReactNode;
}

/** Settings for all components inside it; without a provider the defaults apply. */
export function HfdmdProvider({ children, basePath, locale, messages, initial }: HfdmdProviderProps) {
  const outer = useContext(Context);
  const base = basePath ?? outer.basePath;
  const first = useMemo(() => (initial ? startWith(base, initial) : undefined), [base, initial]);
  const value = useMemo(
    () => ({
      basePath: base,
      locale: locale ?? outer.locale,
      messages: { ...outer.messages, ...messages },
      initial: first ?? outer.initial,
    }),
    [outer, base, locale, messages, first],
  );
  return createElement(Context.Provider, { value }, children);
}

function startWith(base: string, { downloads, repos }: Downloads): Initial {
  const ledger = new Ledger();
  const items = [...downloads, ...repos];
  for (const item of items) ledger.merge(item);
  // On a server all requests share the stores, so what one user may see must not get into them.
  if (typeof window !== "undefined") getStore(base).seed(items);
  return { find: (key) => ledger.find(key), snapshot: { ...EMPTY, items: ledger.all() } };
}

export const useSettings = (): Settings => useContext(Context);

/** What a component shows on the server and while it hydrates. */
export const useInitial = (): Initial | undefined => useContext(Context).initial;

/** The store behind the hooks: `subscribe` and `getSnapshot` feed any other cache. */
export function useStore(basePath?: string): Store {
  const settings = useSettings();
  return getStore(basePath ?? settings.basePath);
}
