/* pool_socket.h - sockets to keep in a pool of threads (sdlab/pool.h): opened by a thread that may block for a while. */
#ifndef SD_WORLD_POOL_SOCKET_H
#define SD_WORLD_POOL_SOCKET_H

#include "core/addr.h"
#include "sdlab/pool.h"

/* Connects within timeout_ns; to->kind is INET or UNIX. SD_EREFUSED, SD_ETIMEOUT, SD_EUNREACHABLE, SD_ENOFILES, SD_EIO. */
enum sd_err sd_pool_socket_open(const struct sd_addr *to, int64_t timeout_ns, int *fd, struct sd_error *e);
/* Two ends of a connection inside this process. */
enum sd_err sd_pool_socket_pair(int fd[2], struct sd_error *e);
/* Nothing more comes or goes, though others may hold it still. */
void sd_pool_socket_end(int fd);
void sd_pool_socket_close(int fd);

#endif
