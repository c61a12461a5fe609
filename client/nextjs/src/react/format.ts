/** Formats numbers with an explicit locale, so that server and browser render the same. Decimal units, as on the Hub. */

const cache = new Map<string, Intl.NumberFormat>();

function number(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options);
  let format = cache.get(key);
  if (!format) cache.set(key, (format = new Intl.NumberFormat(locale, options)));
  return format;
}

const unit = (locale: string, value: number, name: string, digits = 0) =>
  number(locale, {
    style: "unit",
    unit: name,
    unitDisplay: name === "byte" ? "long" : "short",
    maximumFractionDigits: digits,
  }).format(value);

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"];

function scaled(locale: string, bytes: number, per: string, from: number): string {
  let step = from;
  let value = bytes / 1000 ** from;
  // 999.5 kB would be shown as 1,000 kB: the next unit starts there.
  while (value >= 999.5 && step < SIZES.length - 1) {
    value /= 1000;
    step += 1;
  }
  return unit(locale, value, SIZES[step] + per, step > 1 && value < 99.95 ? 1 : 0);
}

export const formatBytes = (bytes: number, locale: string) => scaled(locale, bytes, "", 0);
export const formatRate = (bytesPerSecond: number, locale: string) => scaled(locale, bytesPerSecond, "-per-second", 1);

/** Rounds down, like the daemon: 100 % only for a complete file. */
export const formatPercent = (percent: number, locale: string) =>
  number(locale, { style: "percent" }).format(Math.floor(percent) / 100);

export function formatDuration(seconds: number, locale: string): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return unit(locale, s, "second");
  if (s < 3570) return unit(locale, Math.round(s / 60), "minute");
  const hours = Math.floor((s + 30) / 3600);
  if (hours >= 48) return unit(locale, Math.round(hours / 24), "day");
  const minutes = Math.max(0, Math.round((s - hours * 3600) / 60));
  return minutes > 0 && hours < 10
    ? `${unit(locale, hours, "hour")} ${unit(locale, minutes, "minute")}`
    : unit(locale, hours, "hour");
}
