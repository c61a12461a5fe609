/** Icon paths on a 24 by 24 grid; separate exports, so that a bundle contains only those it uses. */
export const download = "M12 4v11m-5-5 5 5 5-5M5 20h14";
export const pause = "M9 5v14m6-14v14";
export const play = "M8 5v14l11-7z";
export const retry = "M20 12a8 8 0 1 1-2.5-5.8M20 3v5h-5";
export const check = "m5 13 4.5 4.5L19 7";
export const cross = "m6 6 12 12M18 6 6 18";
export const clock = "M12 7v5l3 2m6-2a9 9 0 1 1-18 0 9 9 0 0 1 18 0";
export const alert = "M12 8v5m0 3.5v.01M12 3 2.5 20h19z";
export const up = "m6 15 6-6 6 6";
export const down = "m6 9 6 6 6-6";
export const search = "m20 20-4-4m2-5a7 7 0 1 1-14 0 7 7 0 0 1 14 0";
export const copy = "M9 9h11v11H9zM15 9V4H4v11h5";
export const disk = "M4 14h16M6 5h12l2 9v5H4v-5zm10 11.5v.01";
