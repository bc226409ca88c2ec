// An L2 domain: how full its space of VLAN-IDs is, and who has which.

import { ApiError, get, part } from "./api.js";
import { count, h, link, redraw, table } from "./dom.js";
import { pairs } from "./facts.js";
import { history } from "./history.js";

export function domainPanel(site, name) {
  const facts = h("div", {});
  let [seen, asking] = [-1, false];
  const ask = async () => {
    asking = true;
    seen = site.health?.revision ?? -1;
    try {
      const row = await get(`/v1/l2_domains/${part(name)}`);
      redraw(facts, row, () => [
        row.free ? null : h("p.verdict.bad", {}, "✕ No VLAN-ID is free: no CUG more can come here."),
        row.starved.length ? h("p.verdict.bad", {}, `✕ Nothing was left for ${row.starved.join(", ")}.`) : null,
        pairs([["Description", row.description], ["Data centre", row.data_center], ["VLAN-IDs", row.vlan_ids],
          ["Use", `${row.used} used, ${row.resting} resting, ${row.free} free of ${row.size}`],
          ["Switches", row.switches.map((each) => [link("switch", each), " "])],
          ["Moves without announcement", row.unannounced_moves === "accept" ? "are accepted" : "are refused"],
          ["Guests' own tags", row.translate_guest_tags ? "are translated" : "are the same on trunks"]]),
        row.holders.length ? table("Who has which", ["VLAN-ID", "Who", ""], row.holders.map((each) => [each.vlan_id,
          each.kind === "cug" ? link("cug", each.name) : each.name ? `routing domain ${each.name}` : "gone", each.state === "resting" ? "rests" : ""]))
          : h("p.quiet", {}, `None of ${count(row.size, "VLAN-ID")} is used.`),
      ]);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      redraw(facts, error.message, () => h("p.bad", {}, error.status === 404 ? `L2 domain ${name} is not in the fabric any more.` : error.message));
    }
    asking = false;
  };
  const update = () => { if (!asking && (site.health?.revision ?? -1) !== seen) ask(); };
  ask();
  return { title: `L2 domain ${name}`, element: h("div", {}, facts, history("l2_domain", name)), update };
}
