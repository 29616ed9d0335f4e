#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <netinet/in.h>

#include <cmocka.h>

#include "http/http.h"
#include "http_script.h"

enum { BODY_MAX = 1024, WAKE_MS = 2000 };

static const char *const wanted[] = { "X-One", "X-Two" };

static struct http_client *new_client(void)
{
    const struct http_config config = { .user_agent = "test/1", .exchanges_max = 4, .transfers_max = 2 };
    struct http_client *client = NULL;
    struct err err = { 0 };

    assert_int_equal(http_client_new(&config, &client, &err), 0);
    return client;
}

static struct http_place place_of(const char *text)
{
    struct http_place place;
    struct err err = { 0 };

    assert_int_equal(http_place_parse(text, &place, &err), 0);
    return place;
}

/* What one exchange with a script came to. */
struct outcome {
    int r;
    bool sent;
    struct http_response response;
    struct err err;
    struct buf sunk;
    int sink_code;
};

static int sink(void *closure, const void *data, size_t n, struct err *err)
{
    struct outcome *outcome = closure;

    if (outcome->sink_code)
        return err_set(err, outcome->sink_code, "the sink is full");
    buf_append(&outcome->sunk, data, n);
    return 0;
}

static void perform(struct http_client *client, const char *text, struct http_request request, struct outcome *outcome)
{
    struct http_place place = place_of(text);

    request.place = &place;
    request.target = request.target ? request.target : "/x";
    request.body_max = request.body_max ? request.body_max : BODY_MAX;
    request.wanted = wanted;
    request.n_wanted = 2;
    outcome->sunk.max = BODY_MAX;
    outcome->r = http_perform(client, &request, &outcome->response, &outcome->sent, &outcome->err);
}

static void outcome_done(struct outcome *outcome)
{
    http_response_done(&outcome->response);
    buf_done(&outcome->sunk);
}

/* One exchange with a script of one step. */
static struct outcome once(struct script_step step, struct http_request request)
{
    struct script *script = SCRIPT(step);
    struct http_client *client = new_client();
    struct outcome outcome = { 0 };

    perform(client, script->place, request, &outcome);
    http_client_free(client);
    script_stop(script);
    return outcome;
}

static void a_status_is_an_answer(void **state)
{
    (void)state;
    struct outcome o = once((struct script_step){ .status = 418, .body = "tea" }, (struct http_request){ 0 });

    assert_int_equal(o.r, 0);
    assert_int_equal(o.response.status, 418);
    assert_string_equal(buf_text(&o.response.body), "tea");
    outcome_done(&o);
}

static void wanted_headers_come_without_regard_to_case(void **state)
{
    (void)state;
    struct outcome o =
        once((struct script_step){ .status = 200, .headers = "x-ONE:  a b \r\nX-Two: c\r\nX-Two: d\r\n" },
             (struct http_request){ 0 });

    assert_string_equal(o.response.values[0], "a b");
    assert_string_equal(o.response.values[1], "c");
    outcome_done(&o);
}

static void the_request_is_what_was_given(void **state)
{
    (void)state;
    static const struct http_header headers[] = { { "X-A", "1" }, { "Content-Type", "text/plain" } };
    struct script *script = SCRIPT({ .status = 200 });
    struct http_client *client = new_client();
    struct outcome o = { 0 };

    perform(
        client, script->place,
        (struct http_request){
            .method = HTTP_POST, .target = "/a?b=c", .headers = headers, .n_headers = 2, .body = "body", .body_n = 4 },
        &o);
    assert_int_equal(script_count(script, "POST /a?b=c HTTP/1.1\r\n"), 1);
    assert_non_null(strstr(script_head(script, "POST"), "\r\nX-A: 1\r\n"));
    assert_non_null(strstr(script_head(script, "POST"), "\r\nContent-Type: text/plain\r\n"));
    assert_non_null(strstr(script_head(script, "POST"), "\r\nUser-Agent: test/1\r\n"));
    assert_string_equal(script_body(script, "POST"), "body");
    outcome_done(&o);
    http_client_free(client);
    script_stop(script);
}

static void a_header_cannot_smuggle_another(void **state)
{
    (void)state;
    static const struct http_header headers[] = { { "X-A", "1\r\nX-B: 2" } };
    struct outcome o =
        once((struct script_step){ .status = 200 }, (struct http_request){ .headers = headers, .n_headers = 1 });

    assert_int_equal(o.r, -EINVAL);
    assert_false(o.sent);
    outcome_done(&o);
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    struct script *script = SCRIPT({ .status = 200, .times = -1 });
    struct http_client *client = new_client();

    for (int i = 0; i < 3; i++) {
        struct outcome o = { 0 };

        perform(client, script->place, (struct http_request){ 0 }, &o);
        assert_int_equal(o.r, 0);
        outcome_done(&o);
    }
    assert_int_equal(script_connections(script), 1);
    http_client_free(client);
    script_stop(script);
}

/* The connection that was kept is dead, and libcurl would send a request again on a new one. */
static size_t sent_on_a_dead_connection(bool is_once)
{
    struct script *script = SCRIPT({ .match = "GET", .status = 200 }, { .match = "POST", .end = SCRIPT_DROP },
                                   { .match = "POST", .status = 200 });
    struct http_client *client = new_client();
    struct outcome first = { 0 };
    struct outcome second = { 0 };
    size_t n;

    perform(client, script->place, (struct http_request){ 0 }, &first);
    perform(client, script->place, (struct http_request){ .method = HTTP_POST, .is_once = is_once }, &second);
    if (is_once)
        assert_int_equal(second.r, -EREMOTEIO);
    n = script_count(script, "POST");
    outcome_done(&first);
    outcome_done(&second);
    http_client_free(client);
    script_stop(script);
    return n;
}

static void a_request_that_is_once_is_sent_once(void **state)
{
    (void)state;
    assert_int_equal(sent_on_a_dead_connection(true), 1);
}

static void libcurl_still_repeats_other_requests(void **state)
{
    (void)state;
    assert_int_equal(sent_on_a_dead_connection(false), 2); /* why is_once exists */
}

static void no_listener_is_unreachable_and_nothing_is_sent(void **state)
{
    (void)state;
    struct http_client *client = new_client();
    struct outcome o = { 0 };

    perform(client, "unix:/nonexistent/socket", (struct http_request){ .method = HTTP_POST }, &o);
    assert_int_equal(o.r, -ENETUNREACH);
    assert_false(o.sent);
    outcome_done(&o);
    http_client_free(client);
}

static void a_dropped_connection_is_a_remote_failure_and_may_be_sent(void **state)
{
    (void)state;
    struct outcome o = once((struct script_step){ .end = SCRIPT_DROP }, (struct http_request){ 0 });

    assert_int_equal(o.r, -EREMOTEIO);
    assert_true(o.sent);
    outcome_done(&o);
}

static void a_cut_body_is_a_remote_failure(void **state)
{
    (void)state;
    struct outcome o =
        once((struct script_step){ .status = 200, .body = "half", .end = SCRIPT_CUT }, (struct http_request){ 0 });

    assert_int_equal(o.r, -EREMOTEIO);
    outcome_done(&o);
}

static void garbage_is_not_http(void **state)
{
    (void)state;
    struct outcome o = once((struct script_step){ .raw = "SSH-2.0-something else\r\n" }, (struct http_request){ 0 });

    assert_int_equal(o.r, -EPROTO);
    outcome_done(&o);
}

static void a_body_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct outcome o =
        once((struct script_step){ .status = 200, .body = "123456" }, (struct http_request){ .body_max = 5 });

    assert_int_equal(o.r, -EFBIG);
    outcome_done(&o);
}

static void no_answer_in_time_is_a_timeout(void **state)
{
    (void)state;
    struct outcome o = once((struct script_step){ .end = SCRIPT_STALL }, (struct http_request){ .total_ms = 50 });

    assert_int_equal(o.r, -ETIMEDOUT);
    assert_true(o.sent);
    outcome_done(&o);
}

static void a_redirect_is_not_followed(void **state)
{
    (void)state;
    struct outcome o = once((struct script_step){ .status = 308, .headers = "Location: http://localhost/y\r\n" },
                            (struct http_request){ 0 });

    assert_int_equal(o.response.status, 308);
    outcome_done(&o);
}

/* Sinks. */

static struct outcome download(struct script_step step, int sink_code, uint64_t sink_max)
{
    struct script *script = SCRIPT(step);
    struct http_client *client = new_client();
    struct outcome o = { .sink_code = sink_code };

    perform(
        client, script->place,
        (struct http_request){
            .sink = sink, .closure = &o, .sink_status = 200, .sink_refuses = "application/json", .sink_max = sink_max },
        &o);
    http_client_free(client);
    script_stop(script);
    return o;
}

static void bytes_go_to_the_sink(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 200, .body = "MZ" }, 0, 100);

    assert_int_equal(o.r, 0);
    assert_true(o.response.is_sunk);
    assert_string_equal(buf_text(&o.sunk), "MZ");
    assert_int_equal(o.response.body.n, 0);
    outcome_done(&o);
}

static void an_empty_body_belongs_to_the_sink_too(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 200 }, 0, 100);

    assert_true(o.response.is_sunk);
    outcome_done(&o);
}

static void the_refused_type_does_not_go_to_the_sink(void **state)
{
    (void)state;
    struct outcome o = download(
        (struct script_step){ .status = 200, .headers = "Content-Type: Application/JSON; charset=x\r\n", .body = "{}" },
        0, 100);

    assert_false(o.response.is_sunk);
    assert_string_equal(buf_text(&o.response.body), "{}");
    assert_int_equal(o.sunk.n, 0);
    outcome_done(&o);
}

static void another_status_does_not_go_to_the_sink(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 404, .body = "no" }, 0, 100);

    assert_false(o.response.is_sunk);
    assert_string_equal(buf_text(&o.response.body), "no");
    outcome_done(&o);
}

static void the_failure_of_a_sink_is_the_result(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 200, .body = "MZ" }, ENOSPC, 100);

    assert_int_equal(o.r, -ENOSPC);
    assert_string_equal(o.err.text, "the sink is full");
    outcome_done(&o);
}

static void a_sink_gets_no_more_than_its_limit(void **state)
{
    (void)state;
    struct outcome o = download((struct script_step){ .status = 200, .body = "12345678" }, 0, 7);

    assert_int_equal(o.r, -EFBIG);
    assert_true(o.sunk.n <= 7);
    outcome_done(&o);
}

/* Cancel. */

struct stalled {
    struct http_client *client;
    struct script *script;
    struct outcome outcome;
};

static void *run_stalled(void *closure)
{
    struct stalled *s = closure;

    perform(s->client, s->script->place, (struct http_request){ .total_ms = HTTP_CALL_MS }, &s->outcome);
    return NULL;
}

static void cancel_wakes_a_stalled_exchange_at_once(void **state)
{
    (void)state;
    struct stalled s = { .client = new_client(), .script = SCRIPT({ .end = SCRIPT_STALL }) };
    pthread_t thread;
    int64_t before_ms;

    assert_int_equal(pthread_create(&thread, NULL, run_stalled, &s), 0);
    assert_true(script_await(s.script, "GET", 1));
    script_nap(500); /* until libcurl's timers of a new connection are over, which would end the wait too */
    before_ms = script_ms();
    http_cancel(s.client);
    pthread_join(thread, NULL);
    assert_true(script_ms() - before_ms < WAKE_MS);
    assert_int_equal(s.outcome.r, -ECANCELED);
    outcome_done(&s.outcome);
    http_client_free(s.client);
    script_stop(s.script);
}

static void after_cancel_nothing_is_sent_until_resume(void **state)
{
    (void)state;
    struct script *script = SCRIPT({ .status = 200 });
    struct http_client *client = new_client();
    struct outcome o = { 0 };

    http_cancel(client);
    perform(client, script->place, (struct http_request){ 0 }, &o);
    assert_int_equal(o.r, -ECANCELED);
    assert_int_equal(script_count(script, ""), 0);
    http_resume(client);
    perform(client, script->place, (struct http_request){ 0 }, &o);
    assert_int_equal(o.r, 0);
    outcome_done(&o);
    http_client_free(client);
    script_stop(script);
}

static void five_silent_exchanges_open_the_breaker(void **state)
{
    (void)state;
    struct http_client *client = new_client();
    struct script *script = SCRIPT({ .status = 200 });
    struct outcome o = { 0 };

    for (int i = 0; i < HTTP_BREAK_AFTER; i++)
        perform(client, "unix:/nonexistent/socket", (struct http_request){ 0 }, &o);
    perform(client, script->place, (struct http_request){ 0 }, &o);
    assert_int_equal(o.r, -ENETUNREACH);
    assert_non_null(strstr(o.err.text, "service unreachable, trying again in"));
    assert_int_equal(script_count(script, ""), 0);
    http_client_free(client);
    script_stop(script);
}

/* A listener that answers nothing; its URL goes to `url`. */
static int listen_silently(char *url, size_t room)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    snprintf(url, room, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static void a_loopback_place_is_never_asked_through_a_proxy(void **state)
{
    (void)state;
    char proxy[64];
    int fd = listen_silently(proxy, sizeof proxy);
    const struct http_config config = { .proxy = proxy, .exchanges_max = 1, .transfers_max = 1 };
    struct http_client *client = NULL;
    struct outcome o = { 0 };

    assert_int_equal(setenv("http_proxy", proxy, 1), 0);
    assert_int_equal(http_client_new(&config, &client, NULL), 0);
    perform(client, "http://127.0.0.1:1", (struct http_request){ .total_ms = 500 }, &o);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(o.r, -ENETUNREACH);
    assert_int_equal(accept(fd, NULL, NULL), -1);
    close(fd);
    http_client_free(client);
}

static void a_missing_file_of_certificates_is_named(void **state)
{
    (void)state;
    const struct http_config config = { .ca_file = "/nonexistent/ca.pem", .exchanges_max = 1 };
    struct http_client *client = NULL;
    struct err err = { 0 };

    assert_int_equal(http_client_new(&config, &client, &err), -EINVAL);
    assert_non_null(strstr(err.text, "/nonexistent/ca.pem"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_is_an_answer),
        cmocka_unit_test(wanted_headers_come_without_regard_to_case),
        cmocka_unit_test(the_request_is_what_was_given),
        cmocka_unit_test(a_header_cannot_smuggle_another),
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(a_request_that_is_once_is_sent_once),
        cmocka_unit_test(libcurl_still_repeats_other_requests),
        cmocka_unit_test(no_listener_is_unreachable_and_nothing_is_sent),
        cmocka_unit_test(a_dropped_connection_is_a_remote_failure_and_may_be_sent),
        cmocka_unit_test(a_cut_body_is_a_remote_failure),
        cmocka_unit_test(garbage_is_not_http),
        cmocka_unit_test(a_body_beyond_the_limit_is_refused),
        cmocka_unit_test(no_answer_in_time_is_a_timeout),
        cmocka_unit_test(a_redirect_is_not_followed),
        cmocka_unit_test(bytes_go_to_the_sink),
        cmocka_unit_test(an_empty_body_belongs_to_the_sink_too),
        cmocka_unit_test(the_refused_type_does_not_go_to_the_sink),
        cmocka_unit_test(another_status_does_not_go_to_the_sink),
        cmocka_unit_test(the_failure_of_a_sink_is_the_result),
        cmocka_unit_test(a_sink_gets_no_more_than_its_limit),
        cmocka_unit_test(cancel_wakes_a_stalled_exchange_at_once),
        cmocka_unit_test(after_cancel_nothing_is_sent_until_resume),
        cmocka_unit_test(five_silent_exchanges_open_the_breaker),
        cmocka_unit_test(a_loopback_place_is_never_asked_through_a_proxy),
        cmocka_unit_test(a_missing_file_of_certificates_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
