// Cutting sources into extents, reading them ahead, packing them tile by tile.
#include "backend/cpu/placement.h"

#include <algorithm>

#include "backend/cpu/stream_reader.h"

namespace headgate {
namespace {

constexpr int64_t kExtentBytes = int64_t{4} << 20;
constexpr int64_t kPage = 4096;

// Consecutive tiles of one placement whose stored rows are consecutive bytes of a file.
struct Piece {
  const Placement* placement;
  int64_t first_tile, tiles;
  int64_t offset, bytes;  // in the file
};

bool streams(const Placement& p) { return p.source->file != nullptr; }

// Cuts a source into pieces of at most kExtentBytes, or one tile.
void cut(const Placement& p, std::vector<Piece>& pieces) {
  const int64_t tile_bytes = kPanelRows * p.view->row_bytes;
  const int64_t per_piece = std::max<int64_t>(1, kExtentBytes / tile_bytes);
  const auto stored = static_cast<int64_t>(p.source->bytes.size());
  for (int64_t tile = 0; tile < p.view->tiles(); tile += per_piece) {
    const int64_t tiles = std::min(per_piece, p.view->tiles() - tile);
    const int64_t from = tile * tile_bytes;
    pieces.push_back({&p, tile, tiles, p.source->file_offset + from,
                      std::min(stored - from, tiles * tile_bytes)});
  }
}

// Pieces that follow each other in a file are read together.
std::vector<std::vector<Piece>> group(std::vector<Piece> pieces) {
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    const StreamFile *fa = a.placement->source->file, *fb = b.placement->source->file;
    return fa != fb ? std::less<>()(fa, fb) : a.offset < b.offset;
  });
  std::vector<std::vector<Piece>> groups;
  int64_t begin = 0, end = -1;
  const StreamFile* file = nullptr;
  for (const Piece& piece : pieces) {
    const bool joins = piece.placement->source->file == file && piece.offset == end &&
                       piece.offset + piece.bytes - begin <= kExtentBytes;
    if (!joins) {
      groups.emplace_back();
      file = piece.placement->source->file;
      begin = piece.offset;
    }
    groups.back().push_back(piece);
    end = piece.offset + piece.bytes;
  }
  return groups;
}

void place_group(std::span<const Piece> pieces, std::span<const std::byte> bytes,
                 ThreadPool& pool) {
  // Task numbers run through the tiles of all pieces.
  std::vector<int64_t> first_task;
  int64_t tasks = 0;
  for (const Piece& piece : pieces) {
    first_task.push_back(tasks);
    tasks += piece.tiles;
  }
  const int64_t begin = pieces.front().offset;
  pool.run(tasks, [&](int64_t task, int) {
    const auto at = std::upper_bound(first_task.begin(), first_task.end(), task) - 1;
    const Piece& piece = pieces[static_cast<size_t>(at - first_task.begin())];
    const WeightView& view = *piece.placement->view;
    const int64_t tile = task - *at;
    const std::byte* rows =
        bytes.data() + (piece.offset - begin) + tile * kPanelRows * view.row_bytes;
    place_tile_rows(view, rows, piece.placement->to, piece.first_tile + tile);
  });
}

void place_streamed(std::vector<Piece> pieces, ThreadPool& pool) {
  const std::vector<std::vector<Piece>> groups = group(std::move(pieces));
  std::vector<Extent> extents;
  for (const std::vector<Piece>& g : groups) {
    extents.push_back({g.front().placement->source->file, g.front().offset,
                       g.back().offset + g.back().bytes - g.front().offset});
  }
  StreamReader reader(std::move(extents));
  for (const std::vector<Piece>& g : groups) place_group(g, reader.next(), pool);
}

// Rows in an order of their own: the whole source is read first.
void place_ordered(const Placement& p, ThreadPool& pool) {
  MatrixSource source = *p.source;
  HugeBuffer stored;
  if (streams(p)) {
    const auto bytes = static_cast<int64_t>(source.bytes.size());
    stored = HugeBuffer(StreamFile::buffer_bytes(bytes));
    source.bytes = source.file->read(source.file_offset, bytes,
                                     {stored.data(), static_cast<size_t>(stored.bytes())});
  }
  pool.run(p.view->tiles(), [&](int64_t tile, int) { place_tile(*p.view, source, p.to, tile); });
}

void touch_by_share(const Placement& p, ThreadPool& pool) {
  const int64_t bytes = placed_bytes(*p.view, *p.source);
  const int64_t pages = (bytes + kPage - 1) / kPage;
  const int64_t shares = pool.threads();
  pool.run(shares, [&](int64_t share, int) {
    for (int64_t page = pages * share / shares; page < pages * (share + 1) / shares; ++page)
      p.to[page * kPage] = std::byte{0};
  });
}

}  // namespace

void place_weights(std::span<const Placement> list, ThreadPool& pool) {
  std::vector<Piece> pieces;
  std::vector<const Placement*> in_memory;
  for (const Placement& p : list) {
    if (pool.nodes() > 1) touch_by_share(p, pool);
    if (!p.source->row_order.empty()) {
      place_ordered(p, pool);
    } else if (streams(p)) {
      cut(p, pieces);
    } else {
      in_memory.push_back(&p);
    }
  }
  if (!pieces.empty()) place_streamed(std::move(pieces), pool);
  if (in_memory.size() == 1) {
    const Placement& p = *in_memory.front();
    pool.run(p.view->tiles(),
             [&](int64_t tile, int) { place_tile(*p.view, *p.source, p.to, tile); });
    return;
  }
  pool.run(static_cast<int64_t>(in_memory.size()), [&](int64_t task, int) {
    const Placement& p = *in_memory[static_cast<size_t>(task)];
    for (int64_t tile = 0; tile < p.view->tiles(); ++tile)
      place_tile(*p.view, *p.source, p.to, tile);
  });
}

}  // namespace headgate
