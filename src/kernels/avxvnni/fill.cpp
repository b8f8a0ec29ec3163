// Puts the avxvnni kernels into the table.
#include "kernels/avxvnni/kernels.h"

namespace headgate::avxvnni {

void fill(KernelTable& table) {
  table.panel_dot[kPanelQ4K] = panel_dot_q4k;
  table.panel_dot[kPanelQ5K] = panel_dot_q5k;
  table.panel_dot[kPanelQ6K] = panel_dot_q6k;
  table.panel_dot[kPanelQ80] = panel_dot_q80;
  table.panel_dot[kPanelQ40] = panel_dot_q40;
  table.panel_dot[kPanelIQ4NL] = panel_dot_iq4nl;
  table.panel_dot[kPanelIQ4XS] = panel_dot_iq4xs;
  table.panel_dot[kPanelMXFP4] = panel_dot_mxfp4;
}

}  // namespace headgate::avxvnni
