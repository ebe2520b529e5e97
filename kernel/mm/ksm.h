/*
 * ksm.h: the face of page merging to the rest of mm. The engine is ksm.c, its index ksm_index.h.
 */
#pragma once

#include "kernel/base/frame.h"
#include "kernel/mm/mm.h"

void ksm_init(void); /* starts ksmd */

/* The space has a mergeable VMA now: the scanner visits it from the next pass on. mm->lock: write.
 * -ENOMEM. */
s64 ksm_register(struct mm *mm);
/* fork: the child inherits the registration. */
s64 ksm_fork(struct mm *child, struct mm *parent);
/* The space ends: called before its mappings go. Never waits for a pass; at most for the batch
 * under way. */
void ksm_exit(struct mm *mm);
/* Makes every merged page in [start, end) of the VMA private again. mm->lock: write, dropped never.
 * 0 or -ENOMEM, -EINTR. */
s64 ksm_unshare_range(struct vma *vma, va_t start, va_t end);
/* Forgets the scan records of a range that is unmapped or moved. mm->lock: write. */
void ksm_forget_range(struct mm *mm, va_t start, va_t end);
/* Whether MADV_MERGEABLE means something for the VMA. */
bool ksm_vma_eligible(const struct vma *vma);
/* PR_SET_MEMORY_MERGE: 0 or -errno. */
s64 ksm_set_merge_any(struct mm *mm, bool on);
/* Pages merge only with pages of the same domain. What the space had merged under the old one
 * becomes private first: 0 or -ENOMEM, then the old domain stays. */
s64 ksm_set_domain(struct mm *mm, u32 domain);
/* Pages of the space that the scanner keeps a record of. mm->lock: read. */
u64 ksm_item_count(const struct mm *mm);

/* The last reference of a merged frame is gone: the stable node dies. Called from
 * frame_release_hook; no locks held above LOCK_KSM. */
void ksm_frame_released(struct frame *frame);
/* A write fault of the last user of a merged frame, policy exact: freezes the count at one, takes
 * the frame out of the stable index and makes it an anonymous frame owned by (lineage, index).
 * False: somebody else can see it; copy. PTE lock held; takes the ksm lock (rank above it). Its
 * mapping is then no merged one any more: the caller changes the figures. */
bool ksm_reuse_frame(struct frame *frame, struct lineage *lineage, u64 index);
/* Merged mappings come and go: keeps pages_shared and pages_sharing exact. */
void ksm_count_mappings(s64 change);
/* The same for entries of the space that map the zero page and bear the scanner's mark
 * (pte_is_ksm_zero): whoever makes or ends such an entry counts it. */
void ksm_count_zero(struct mm *mm, s64 change);
