import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.json.McpJsonMapper;
import io.modelcontextprotocol.spec.McpSchema;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Decodes a message as the Java SDK's server does: the envelope, then the params into the type of the method. */
final class Decoder {

	private static final String VERSION = "io.modelcontextprotocol/protocolVersion";

	private final McpJsonMapper mapper = McpJsonDefaults.getMapper();

	/** What the SDK reads, as one line of JSON; {@code null} if it rejects the message. */
	String line(String body) {
		try {
			return mapper.writeValueAsString(read(McpSchema.deserializeJsonRpcMessage(mapper, body)));
		}
		catch (Exception | StackOverflowError rejected) {
			return "null";
		}
	}

	Map<String, Object> read(McpSchema.JSONRPCMessage message) {
		Map<String, Object> reading = new LinkedHashMap<>();
		if (message instanceof McpSchema.JSONRPCRequest request) {
			reading.put("kind", "request");
			reading.put("method", request.method());
			readParams(request.method(), request.params(), reading);
		}
		else if (message instanceof McpSchema.JSONRPCNotification notification) {
			reading.put("kind", "notification");
			reading.put("method", notification.method());
		}
		else {
			reading.put("kind", "response");
			reading.put("method", "");
		}
		return reading;
	}

	/** The conversions of io.modelcontextprotocol.server.McpAsyncServer. */
	private void readParams(String method, Object params, Map<String, Object> reading) {
		switch (method) {
			case McpSchema.METHOD_INITIALIZE -> {
				var request = mapper.convertValue(params, McpSchema.InitializeRequest.class);
				version(request.meta(), reading);
				if (reading.get("version") == null) {
					reading.put("version", request.protocolVersion());
				}
			}
			case McpSchema.METHOD_TOOLS_CALL -> {
				var request = mapper.convertValue(params, McpSchema.CallToolRequest.class);
				reading.put("name", request.name());
				version(request.meta(), reading);
			}
			case McpSchema.METHOD_PROMPT_GET -> {
				var request = mapper.convertValue(params, McpSchema.GetPromptRequest.class);
				reading.put("name", request.name());
				version(request.meta(), reading);
			}
			case McpSchema.METHOD_RESOURCES_READ -> {
				var request = mapper.convertValue(params, McpSchema.ReadResourceRequest.class);
				reading.put("uri", request.uri());
				reading.put("resolved", resolve(request.uri()));
				version(request.meta(), reading);
			}
			case McpSchema.METHOD_RESOURCES_SUBSCRIBE ->
				reading.put("uri", mapper.convertValue(params, McpSchema.SubscribeRequest.class).uri());
			case McpSchema.METHOD_RESOURCES_UNSUBSCRIBE ->
				reading.put("uri", mapper.convertValue(params, McpSchema.UnsubscribeRequest.class).uri());
			case McpSchema.METHOD_COMPLETION_COMPLETE -> {
				var request = mapper.convertValue(params, McpSchema.CompleteRequest.class);
				reading.put("reference", List.of(request.ref().type(), request.ref().identifier()));
				version(request.meta(), reading);
			}
			case McpSchema.METHOD_TOOLS_LIST, McpSchema.METHOD_PROMPT_LIST, McpSchema.METHOD_RESOURCES_LIST,
					McpSchema.METHOD_RESOURCES_TEMPLATES_LIST -> {
				var request = mapper.convertValue(params, McpSchema.PaginatedRequest.class);
				reading.put("cursor", request == null ? null : request.cursor());
				version(request == null ? null : request.meta(), reading);
			}
			default -> {
			}
		}
	}

	/** The URI as code that uses java.net.URI reads it; {@code null} if it rejects the URI. */
	private static String resolve(String uri) {
		try {
			return new URI(uri).normalize().toString();
		}
		catch (URISyntaxException rejected) {
			return null;
		}
	}

	private static void version(Map<String, Object> meta, Map<String, Object> reading) {
		reading.put("version", meta == null ? null : meta.get(VERSION));
	}

}
