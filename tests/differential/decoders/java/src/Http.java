import io.modelcontextprotocol.common.McpTransportContext;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.server.McpStatelessServerHandler;
import io.modelcontextprotocol.server.transport.HttpServletStatelessServerTransport;
import io.modelcontextprotocol.spec.McpSchema;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpServletResponseWrapper;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import org.apache.catalina.startup.Tomcat;
import reactor.core.publisher.Mono;

/** The SDK's own servlet in Tomcat, for messages whose headers matter. One request at a time. */
final class Http extends HttpServlet implements McpStatelessServerHandler {

	private final transient Decoder decoder;

	private final transient HttpServletStatelessServerTransport transport = HttpServletStatelessServerTransport.builder()
		.build();

	private volatile String line = "null";

	private Http(Decoder decoder) {
		this.decoder = decoder;
		transport.setMcpHandler(this);
	}

	/** Starts the server. Returns its port. */
	static int serve(Decoder decoder, File folder) throws Exception {
		Tomcat tomcat = new Tomcat();
		tomcat.setBaseDir(folder.getPath());
		tomcat.setPort(0);
		tomcat.getConnector().setProperty("address", "127.0.0.1");
		var context = tomcat.addContext("", folder.getPath());
		Tomcat.addServlet(context, "mcp", new Http(decoder)).setAsyncSupported(true);
		context.addServletMappingDecoded("/*", "mcp");
		tomcat.start();
		return tomcat.getConnector().getLocalPort();
	}

	@Override
	protected void doPost(HttpServletRequest request, HttpServletResponse response)
			throws ServletException, IOException {
		line = "null";
		transport.service(request, new Discarded(response));
		byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
		response.setStatus(200);
		response.setContentLength(bytes.length);
		response.getOutputStream().write(bytes);
	}

	@Override
	public Mono<McpSchema.JSONRPCResponse> handleRequest(McpTransportContext context,
			McpSchema.JSONRPCRequest request) {
		keep(request);
		return Mono.just(McpSchema.JSONRPCResponse.result(request.id(), new java.util.HashMap<String, Object>()));
	}

	@Override
	public Mono<Void> handleNotification(McpTransportContext context, McpSchema.JSONRPCNotification notification) {
		keep(notification);
		return Mono.empty();
	}

	private void keep(McpSchema.JSONRPCMessage message) {
		try {
			line = McpJsonDefaults.getMapper().writeValueAsString(decoder.read(message));
		}
		catch (Exception rejected) {
			line = "null";
		}
	}

	/** The answer of the SDK, which the oracle does not need. */
	private static final class Discarded extends HttpServletResponseWrapper {

		private Discarded(HttpServletResponse response) {
			super(response);
		}

		@Override
		public PrintWriter getWriter() {
			return new PrintWriter(new ByteArrayOutputStream());
		}

		@Override
		public void sendError(int status) {
			// The oracle's answer has its own status.
		}

		@Override
		public void sendError(int status, String message) {
			// The oracle's answer has its own status.
		}

	}

}
