// headgate-mpi: the train command on the ranks that mpirun starts.
#include <exception>

#include "base/error.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "comm/mpi_world.h"

namespace {

int run(int argc, const char* const* argv) {
  try {
    headgate::CommandLine line("headgate-mpi", "Trains on several ranks: mpirun -n 2 headgate-mpi",
                               HEADGATE_VERSION);
    headgate::add_train(line);
    return line.run(argc, argv);
  } catch (const headgate::Error& error) {
    headgate::report_error(error.what());
    return headgate::exit_code(error.code());
  } catch (const std::exception& error) {
    headgate::report_error(std::string("internal error: ") + error.what());
    return headgate::exit_code(headgate::ErrorCode::kInternal);
  }
}

}  // namespace

int main(int argc, char** argv) {
  headgate::MpiWorld ranks(&argc, &argv);
  return ranks.leave(run(argc, argv));
}
