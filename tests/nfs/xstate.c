/* ptrace() for a User Mode Linux on a processor whose register state is larger than what it was built for (AMX).
 *
 * linux.uml keeps 2,696 bytes of a process's extended registers, which is all up to AVX-512 and PKRU; a host with AMX
 * has 11,008, and refuses to set fewer ("ptrace set fp regs failed, errno = 14"). No process of a guest may use AMX, so
 * what linux.uml does not know of is read from the process and written back as it is, unused.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

#define GETREGSET 0x4204
#define SETREGSET 0x4205
#define NT_X86_XSTATE 0x202
#define SIZE_MAX_OF_HOST 16384
#define HEADER 512 /* of the XSAVE area; its first eight bytes say which parts are in use */
#define AMX ((uint64_t)3 << 17)

typedef long (*call)(long, pid_t, void *, void *);

static call real;
static char whole[SIZE_MAX_OF_HOST]; /* the kernel of a guest has one CPU, and stacks smaller than this */

__attribute__((constructor)) static void find(void) {
    real = (call)dlsym(RTLD_NEXT, "ptrace");
}

long ptrace(int request, ...) {
    va_list words;
    va_start(words, request);
    pid_t pid = va_arg(words, pid_t);
    void *address = va_arg(words, void *);
    void *data = va_arg(words, void *);
    va_end(words);
    if (request != SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
        return real(request, pid, address, data);
    struct iovec known = *(struct iovec *)data, all = {whole, sizeof whole};
    if (real(GETREGSET, pid, address, &all) < 0)
        return -1;
    memcpy(whole, known.iov_base, known.iov_len < all.iov_len ? known.iov_len : all.iov_len);
    uint64_t used;
    memcpy(&used, whole + HEADER, sizeof used);
    used &= ~AMX;
    memcpy(whole + HEADER, &used, sizeof used);
    return real(SETREGSET, pid, address, &all);
}
