/*
 * The cpio iterator. `position` always lies within the archive, so every check has the form "is
 * what is left enough?", which cannot overflow.
 */
#include "lib/cpio.h"

#include "lib/string.h"

#define MAGIC_SIZE 6
#define FIELD_DIGITS 8
#define HEADER_SIZE 110 /* the magic and 13 fields */

/* The fields in the order of the header. */
enum field {
    FIELD_INODE,
    FIELD_MODE,
    FIELD_UID,
    FIELD_GID,
    FIELD_NLINK,
    FIELD_MTIME,
    FIELD_FILE_SIZE,
    FIELD_DEV_MAJOR,
    FIELD_DEV_MINOR,
    FIELD_RDEV_MAJOR,
    FIELD_RDEV_MINOR,
    FIELD_NAME_SIZE,
    FIELD_CHECK_SUM,
    FIELD_COUNT,
};

static_assert(MAGIC_SIZE + FIELD_COUNT * FIELD_DIGITS == HEADER_SIZE, "cpio header");

void cpio_open(struct cpio *cpio, const void *archive, usize size)
{
    *cpio = (struct cpio){.archive = archive, .size = size};
}

/* One hexadecimal digit; false if it is none. */
static bool read_digit(u8 digit, u32 *value)
{
    u8 letter = digit | 0x20;

    if (digit >= '0' && digit <= '9')
        *value = digit - '0';
    else if (letter >= 'a' && letter <= 'f')
        *value = letter - 'a' + 10;
    else
        return false;
    return true;
}

static bool read_fields(const u8 *header, u32 fields[FIELD_COUNT])
{
    const u8 *at = header + MAGIC_SIZE;

    for (int field = 0; field < FIELD_COUNT; field++) {
        fields[field] = 0;
        for (int i = 0; i < FIELD_DIGITS; i++) {
            u32 digit;

            if (!read_digit(*at++, &digit))
                return false;
            fields[field] = fields[field] << 4 | digit;
        }
    }
    return true;
}

/* Takes `size` bytes at *position, and the padding after them if the archive has it. */
static const u8 *take(const struct cpio *cpio, usize *position, usize size)
{
    const u8 *start = cpio->archive + *position;

    if (cpio->size - *position < size)
        return NULL;
    *position = MIN(ALIGN_UP(*position + size, 4), cpio->size);
    return start;
}

static u32 sum_bytes(const u8 *bytes, usize size)
{
    u32 sum = 0;

    while (size--)
        sum += *bytes++;
    return sum;
}

/* Is the header's magic known, and is it the one with check sums? */
static bool read_magic(const u8 *header, bool *summed)
{
    *summed = header[MAGIC_SIZE - 1] == '2';
    return memcmp(header, "07070", MAGIC_SIZE - 1) == 0 &&
           (*summed || header[MAGIC_SIZE - 1] == '1');
}

/* A name ends with a NUL, or with many: a writer may so move the content to a boundary. */
static bool name_is_valid(const char *name, usize size)
{
    return size > 1 && name[0] && name[size - 1] == '\0';
}

static void fill_entry(struct cpio_entry *entry, const u32 fields[FIELD_COUNT])
{
    entry->size = fields[FIELD_FILE_SIZE];
    entry->inode = fields[FIELD_INODE];
    entry->mode = fields[FIELD_MODE];
    entry->uid = fields[FIELD_UID];
    entry->gid = fields[FIELD_GID];
    entry->nlink = fields[FIELD_NLINK];
    entry->mtime = fields[FIELD_MTIME];
    entry->dev_major = fields[FIELD_DEV_MAJOR];
    entry->dev_minor = fields[FIELD_DEV_MINOR];
    entry->rdev_major = fields[FIELD_RDEV_MAJOR];
    entry->rdev_minor = fields[FIELD_RDEV_MINOR];
}

enum cpio_status cpio_next(struct cpio *cpio, struct cpio_entry *entry)
{
    usize position = cpio->position;
    u32 fields[FIELD_COUNT];
    bool summed;

    if (cpio->size - position < HEADER_SIZE)
        return CPIO_BAD;

    const u8 *header = cpio->archive + position;

    position += HEADER_SIZE; /* not padded by itself: the name follows at once */
    if (!read_magic(header, &summed) || !read_fields(header, fields))
        return CPIO_BAD;

    const char *name = (const char *)take(cpio, &position, fields[FIELD_NAME_SIZE]);

    if (!name || !name_is_valid(name, fields[FIELD_NAME_SIZE]))
        return CPIO_BAD;
    if (strcmp(name, "TRAILER!!!") == 0)
        return CPIO_END;

    const u8 *data = take(cpio, &position, fields[FIELD_FILE_SIZE]);

    if (!data || (summed && sum_bytes(data, fields[FIELD_FILE_SIZE]) != fields[FIELD_CHECK_SUM]))
        return CPIO_BAD;
    fill_entry(entry, fields);
    entry->name = name;
    entry->name_length = strlen(name);
    entry->data = data;
    cpio->position = position;
    return CPIO_ENTRY;
}

bool cpio_find(const void *archive, usize size, const char *name, struct cpio_entry *entry)
{
    struct cpio cpio;

    cpio_open(&cpio, archive, size);
    while (cpio_next(&cpio, entry) == CPIO_ENTRY) {
        if (strcmp(entry->name, name) == 0)
            return true;
    }
    return false;
}
